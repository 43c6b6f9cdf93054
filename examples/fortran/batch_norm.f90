! Batch normalization from Fortran: a training forward and backward, checked by what is known of their results.
program batch_norm
  use, intrinsic :: iso_c_binding
  use unitvar
  implicit none

  ! In memory the first index of Fortran, and the last index of C, moves fastest. So x(inner, channels, outer) is
  ! x[outer][channels][inner] in C. That is NCHW, with inner = H * W.
  integer, parameter :: inner = 16, channels = 3, outer = 8
  real(c_double), target :: x(inner, channels, outer), y(inner, channels, outer)
  real(c_double), target :: dy(inner, channels, outer), dx(inner, channels, outer)
  real(c_double), target, dimension(channels) :: gamma, beta, mean, rstd, dgamma, dbeta
  type(unitvar_batch_norm_forward_args) :: forward
  type(unitvar_batch_norm_backward_args) :: backward
  logical :: good
  integer(c_int32_t) :: status
  integer :: c

  call fill(x, 0.37_c_double)
  x = x + 100
  call fill(dy, 0.73_c_double)
  gamma = [1.0_c_double, 1.5_c_double, 2.0_c_double]
  beta = [0.0_c_double, 0.1_c_double, 0.2_c_double]

  forward%struct_size = c_sizeof(forward)
  forward%dtype = unitvar_f64
  forward%extent = unitvar_extent(outer, channels, inner)
  forward%x = c_loc(x)
  forward%gamma = c_loc(gamma)
  forward%beta = c_loc(beta)
  forward%y = c_loc(y)
  forward%mean = c_loc(mean)
  forward%rstd = c_loc(rstd)
  forward%eps = 0  ! then, but for rounding, the variance of y is gamma**2, and sum(dx * x_hat) is 0
  call must(unitvar_batch_norm_forward(forward, c_null_ptr))

  backward%struct_size = c_sizeof(backward)
  backward%dtype = unitvar_f64
  backward%extent = forward%extent
  backward%x = c_loc(x)
  backward%dy = c_loc(dy)
  backward%mean = c_loc(mean)
  backward%rstd = c_loc(rstd)
  backward%gamma = c_loc(gamma)
  backward%dx = c_loc(dx)
  backward%dgamma = c_loc(dgamma)
  backward%dbeta = c_loc(dbeta)
  call must(unitvar_batch_norm_backward(backward, c_null_ptr))

  ! y stays the same where x is shifted, and where it is stretched around its mean. So both sums of dx are 0.
  good = .true.
  print "(a)", "channel   mean(y)    var(y)   sum(dx)  sum(dx*x_hat)"
  do c = 1, channels
    call check_channel(x(:, c, :), y(:, c, :), dx(:, c, :))
  end do

  forward%extent%channels = 0
  status = unitvar_batch_norm_forward(forward, c_null_ptr)
  good = good .and. status == unitvar_bad_extent
  print "(a)", unitvar_error_message()
  if (.not. good) stop 1

contains

  ! Anything that is not constant.
  subroutine fill(values, step)
    real(c_double), intent(out) :: values(inner, channels, outer)
    real(c_double), intent(in) :: step
    integer :: k

    values = reshape([(sin(step * k * k), k = 1, size(values))], shape(values))
  end subroutine

  subroutine must(returned)
    integer(c_int32_t), intent(in) :: returned

    if (returned == unitvar_ok) return
    print "(a)", unitvar_error_message()
    stop 1
  end subroutine

  subroutine check_channel(x, y, dx)
    real(c_double), dimension(inner, outer), intent(in) :: x, y, dx
    real(c_double), parameter :: limit = 1e-12_c_double
    real(c_double) :: mean_y, var_y, sum_dx, sum_dx_x_hat

    mean_y = sum(y) / size(y)
    var_y = sum((y - mean_y)**2) / size(y)
    sum_dx = sum(dx)
    sum_dx_x_hat = sum(dx * (x - mean(c)) * rstd(c))
    print "(i7, 2f10.6, es10.1, es15.1)", c, mean_y, var_y, sum_dx, sum_dx_x_hat
    good = good .and. abs(mean_y - beta(c)) <= limit .and. abs(var_y - gamma(c)**2) <= limit
    good = good .and. abs(sum_dx) <= limit * sum(abs(dx)) .and. abs(sum_dx_x_hat) <= limit * sum(abs(dx))
  end subroutine

end program
