! Batch normalization of the C interface, include/unitvar/c/batch_norm.h, for Fortran 2008.
module unitvar
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_f_pointer, c_int32_t, c_int64_t, c_null_ptr, c_ptr, &
                                         c_size_t
  implicit none
  private

  integer(c_int32_t), parameter, public :: unitvar_f32 = 0, unitvar_f64 = 1, unitvar_bf16 = 2, unitvar_f16 = 3

  integer(c_int32_t), parameter, public :: &
    unitvar_ok = 0, unitvar_null_data = 1, unitvar_wrong_length = 2, unitvar_bad_extent = 3, unitvar_overflow = 4, &
    unitvar_too_few_values = 5, unitvar_bad_epsilon = 6, unitvar_overlap = 7, unitvar_bad_argument = 8, &
    unitvar_bad_state = 9, unitvar_unsupported_isa = 10, unitvar_disagreement = 11, unitvar_communication = 12, &
    unitvar_out_of_memory = 13, unitvar_internal = 14

  ! C counts the other way: x[outer][channels][inner] is x(inner, channels, outer) here.
  type, bind(c), public :: unitvar_extent
    integer(c_int64_t) :: outer = 0, channels = 0, inner = 0
  end type

  ! Set struct_size to c_sizeof of the variable. What is not set is zero, as C wants it.
  type, bind(c), public :: unitvar_batch_norm_forward_args
    integer(c_size_t) :: struct_size = 0
    integer(c_int32_t) :: dtype = unitvar_f32
    type(unitvar_extent) :: extent
    type(c_ptr) :: x = c_null_ptr
    type(c_ptr) :: gamma = c_null_ptr  ! optional
    type(c_ptr) :: beta = c_null_ptr   ! optional
    type(c_ptr) :: y = c_null_ptr      ! output
    type(c_ptr) :: mean = c_null_ptr   ! output, optional
    type(c_ptr) :: var = c_null_ptr    ! output, optional: biased
    type(c_ptr) :: rstd = c_null_ptr   ! output, optional
    real(c_double) :: eps = 0
    type(c_ptr) :: count = c_null_ptr  ! output, optional: one number
  end type

  type, bind(c), public :: unitvar_batch_norm_backward_args
    integer(c_size_t) :: struct_size = 0
    integer(c_int32_t) :: dtype = unitvar_f32
    type(unitvar_extent) :: extent
    type(c_ptr) :: x = c_null_ptr
    type(c_ptr) :: dy = c_null_ptr
    type(c_ptr) :: mean = c_null_ptr
    type(c_ptr) :: rstd = c_null_ptr
    type(c_ptr) :: gamma = c_null_ptr   ! optional
    type(c_ptr) :: dx = c_null_ptr      ! output, optional
    type(c_ptr) :: dgamma = c_null_ptr  ! output, optional
    type(c_ptr) :: dbeta = c_null_ptr   ! output, optional
  end type

  public :: unitvar_batch_norm_forward, unitvar_batch_norm_backward, unitvar_last_error, unitvar_error_message

  ! options: c_null_ptr for the usual ones.
  interface
    function unitvar_batch_norm_forward(args, options) bind(c) result(status)
      import :: c_int32_t, c_ptr, unitvar_batch_norm_forward_args
      type(unitvar_batch_norm_forward_args), intent(in) :: args
      type(c_ptr), value :: options
      integer(c_int32_t) :: status
    end function

    function unitvar_batch_norm_backward(args, options) bind(c) result(status)
      import :: c_int32_t, c_ptr, unitvar_batch_norm_backward_args
      type(unitvar_batch_norm_backward_args), intent(in) :: args
      type(c_ptr), value :: options
      integer(c_int32_t) :: status
    end function

    function unitvar_last_error() bind(c) result(message)
      import :: c_ptr
      type(c_ptr) :: message
    end function

    function c_strlen(text) bind(c, name="strlen") result(length)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: text
      integer(c_size_t) :: length
    end function
  end interface

contains

  ! unitvar_last_error as a Fortran string.
  function unitvar_error_message() result(text)
    character(:), allocatable :: text
    character(kind=c_char), pointer :: bytes(:)
    type(c_ptr) :: message
    integer :: k

    message = unitvar_last_error()
    call c_f_pointer(message, bytes, [c_strlen(message)])
    allocate (character(size(bytes)) :: text)
    do k = 1, size(bytes)
      text(k:k) = bytes(k)
    end do
  end function

end module
