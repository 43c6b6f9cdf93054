// Activations as functions of a value, with derivatives. Included once per instruction set.
#if defined(UNITVAR_KERNELS_FUNCTIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_FUNCTIONS_INL_H_
#undef UNITVAR_KERNELS_FUNCTIONS_INL_H_
#else
#define UNITVAR_KERNELS_FUNCTIONS_INL_H_
#endif

#include <array>
#include <bit>

#include "cpu/kernels/epilogue_ops-inl.h"
#include "cpu/kernels/functions.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// What exp takes in A. `p` are the coefficients of r^2 and up of a polynomial 1 + r + ..., whose relative error on
/// |r| <= log(2) / 2 is 3.1e-9 (float) and 3.6e-18 (double). log2_hi has so few bits that k * log2_hi is exact.
template <class A>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr std::array<float, 5> p{0x1.fffffep-2F, 0.166665204F, 0.0416683908F, 0.00836874511F, 0.00138145402F};
  static constexpr float log2_hi = 0x1.62e4p-1F, log2_lo = 0x1.7f7d1cp-20F, inverse = 0x1.715476p+0F;
  static constexpr float to_integer = 0x1.8p23F;  ///< added, the last bits of the sum are a rounded integer
  static constexpr float least = -109;            ///< below it, exp is 0
  static constexpr int bits = 23, bias = 127, spare = 32;
  static constexpr float unspare = 0x1p-32F;
};
template <>
struct ExpConstants<double> {
  static constexpr std::array<double, 10> p{
      0.50000000000000106688,   0.16666666666666411508,    0.041666666666529728134,    0.008333333333494977261,
      0.0013888888943759984011, 0.00019841269505773806997, 0.000024801492949617070769, 2.7557586803847070697e-6,
      2.7630306255647857359e-7, 2.5000018853083341953e-8};
  static constexpr double log2_hi = 0x1.62e42fefa3p-1, log2_lo = 0x1.3de6af278ece6p-42, inverse = 0x1.71547652b82fep+0;
  static constexpr double to_integer = 0x1.8p52;
  static constexpr double least = -760;
  static constexpr int bits = 52, bias = 1023, spare = 80;
  static constexpr double unspare = 0x1p-80;
};

template <class A>
HWY_INLINE auto divide(VectorOf<A>, typename VectorOf<A>::Value a, typename VectorOf<A>::Value b) {
  return hn::Div(a, b);
}
template <class A>
HWY_INLINE A divide(ScalarOf<A>, A a, A b) {
  return a / b;
}

/// 2^(k + spare), k being the integer in the last bits of t.
template <class A>
HWY_INLINE auto power_of_two(VectorOf<A>, typename VectorOf<A>::Value t) {
  using C = ExpConstants<A>;
  const hn::RebindToUnsigned<Tag<A>> u;
  using Lane = hn::TFromD<decltype(u)>;
  const auto exponent = hn::Add(hn::BitCast(u, t), hn::Set(u, Lane{C::bias + C::spare}));
  return hn::BitCast(Tag<A>(), hn::ShiftLeft<C::bits>(exponent));
}
template <class A>
HWY_INLINE A power_of_two(ScalarOf<A>, A t) {
  using C = ExpConstants<A>;
  using Lane = std::conditional_t<std::is_same_v<A, float>, std::uint32_t, std::uint64_t>;
  return std::bit_cast<A>(static_cast<Lane>((std::bit_cast<Lane>(t) + Lane{C::bias + C::spare}) << C::bits));
}

/// exp(v) = fraction * scale * unspare for v <= 0, NaN for NaN. In two factors, since it may be below the least normal
/// number where its product with something larger is not.
template <class U, class A>
struct Exp {
  using C = ExpConstants<A>;
  using Value = typename U::Value;
  Value fraction, scale;
  typename Masks<U>::Mask vanishes;

  explicit HWY_INLINE Exp(Value v) {
    const auto least = U::at(C::least, 0);
    vanishes = Masks<U>::at_most(v, least);
    v = Masks<U>::select(vanishes, least, v);
    const auto t = U::add(U::mul(v, U::at(C::inverse, 0)), U::at(C::to_integer, 0));
    const auto k = U::sub(t, U::at(C::to_integer, 0));
    const auto r = U::sub(U::sub(v, U::mul(k, U::at(C::log2_hi, 0))), U::mul(k, U::at(C::log2_lo, 0)));
    const auto square = U::mul(r, r);
    const auto p = U::add(every_other<0>(square), U::mul(r, every_other<1>(square)));
    fraction = U::add(U::at(A(1), 0), U::add(r, U::mul(square, p)));
    scale = power_of_two(U(), t);
  }
  HWY_INLINE Value times(Value factor) const {
    const auto product = U::mul(U::mul(U::mul(fraction, factor), scale), U::at(C::unspare, 0));
    return Masks<U>::zero_where(vanishes, product);
  }
  HWY_INLINE Value value() const { return times(U::at(A(1), 0)); }

 private:
  /// The polynomial's even or odd terms: two short chains of operations instead of a long one.
  template <std::size_t first>
  static HWY_INLINE Value every_other(Value square) {
    constexpr std::size_t last = C::p.size() - 1 - (C::p.size() - 1 - first) % 2;
    Value sum = U::at(C::p[last], 0);
    for (std::size_t i = last; i >= first + 2; i -= 2) sum = U::add(U::mul(sum, square), U::at(C::p[i - 2], 0));
    return sum;
  }
};

/// 1 / (1 + exp(-v)) = sigmoid / divisor, and what remains of 1 = rest / divisor, neither of which cancels.
template <class U, class A>
struct Logistic {
  using Value = typename U::Value;
  typename Masks<U>::Mask negative;
  Exp<U, A> exp;
  Value one, small, divisor;

  explicit HWY_INLINE Logistic(Value v)
      : negative(Masks<U>::at_most_zero(v)),
        exp(Masks<U>::select(negative, v, U::sub(U::zero(), v))),
        one(U::at(A(1), 0)),
        small(exp.value()),
        divisor(U::add(one, small)) {}
  /// factor * sigmoid(v).
  HWY_INLINE Value times(Value factor) const {
    return divide(U(), Masks<U>::select(negative, exp.times(factor), factor), divisor);
  }
  HWY_INLINE Value sigmoid() const { return divide(U(), Masks<U>::select(negative, small, one), divisor); }
  HWY_INLINE Value rest() const { return divide(U(), Masks<U>::select(negative, one, small), divisor); }
};

// f.template of<U>(v, g): the function of v, or the product of a derivative of it with g. U is VectorOf<A> or
// ScalarOf<A>. What is 0 stays 0 where g is infinite.

struct Identity {
  static constexpr int kOrder = 0;
  template <class U, class A, class Value>
  HWY_INLINE Value of(Value v, Value) const {
    return v;
  }
};

/// v * sigmoid(v) (B88), its derivative s * (1 + v * (1 - s)) (B89), and that one's, s * (1 - s) * (2 + v * (1 - 2 s)).
template <int order>
struct Silu {
  static constexpr int kOrder = order;
  template <class U, class A, class Value>
  HWY_INLINE Value of(Value v, Value g) const {
    const Logistic<U, A> logistic(v);
    if constexpr (order == 0) return logistic.times(v);
    const auto s = logistic.sigmoid(), rest = logistic.rest();
    if constexpr (order == 1) {
      return U::mul(U::mul(s, U::add(U::at(A(1), 0), U::mul(v, rest))), g);
    } else {
      const auto factor = U::add(U::at(A(2), 0), U::mul(v, U::sub(rest, s)));
      return U::mul(U::mul(U::mul(s, rest), factor), g);
    }
  }
};

/// v * min(max(v + 3, 0), 6) / 6, and its derivatives (B91): 0 and 1 outside of (-3, 3), v / 3 + 1 / 2 and 1 / 3
/// inside.
template <int order>
struct HardSwish {
  static constexpr int kOrder = order;
  template <class U, class A, class Value>
  HWY_INLINE Value of(Value v, Value g) const {
    const auto low = Masks<U>::at_most(v, U::at(A(-3), 0)), high = Masks<U>::at_most(U::at(A(3), 0), v);
    const auto third = U::at(A(1) / 3, 0), sixth = U::at(A(1) / 6, 0), half = U::at(A(0.5), 0);
    Value inside, above;
    if constexpr (order == 0) {
      inside = U::mul(v, U::add(U::mul(v, sixth), half)), above = v;
    } else if constexpr (order == 1) {
      inside = U::mul(U::add(U::mul(v, third), half), g), above = g;
    } else {
      inside = U::mul(third, g), above = U::zero();
    }
    return Masks<U>::zero_where(low, Masks<U>::select(high, above, inside));
  }
};

/// Any function and any derivative, by a condition for each vector. All but the identity are a call: in every loop of
/// every shape they would be most of the compiler's time.
template <class A>
struct AnyFunction {
  static constexpr int kOrder = 3;  ///< whatever `order` says
  Activation activation;
  int order;

  template <class U, class, class Value>
  HWY_INLINE Value of(Value v, Value g) const {
    if (activation.kind == Activation::Kind::identity && order == 0) return v;
    return other<U>(v, g);
  }

 private:
  template <class U, class Value>
  HWY_NOINLINE Value other(Value v, Value g) const {
    switch (activation.kind) {
      case Activation::Kind::identity:
        return order == 1 ? g : U::zero();
      case Activation::Kind::leaky_relu:
        return of_kink<U>(AnySlope<A>(activation.negative_slope), v, g);
      case Activation::Kind::clip:
        return of_kink<U>(Clip<A>(activation), v, g);
      case Activation::Kind::hard_swish:
        return of_order<U, HardSwish>(v, g);
      case Activation::Kind::silu:
        return of_order<U, Silu>(v, g);
    }
    return v;
  }
  template <class U, template <int> class Function, class Value>
  HWY_INLINE Value of_order(Value v, Value g) const {
    if (order == 0) return Function<0>().template of<U, A>(v, g);
    return order == 1 ? Function<1>().template of<U, A>(v, g) : Function<2>().template of<U, A>(v, g);
  }
  template <class U, class Kink, class Value>
  HWY_INLINE Value of_kink(const Kink& kink, Value v, Value g) const {
    if (order == 2) return U::zero();
    const auto blocked = blocks<U>(kink, v);
    return order == 0 ? output<U>(kink, blocked, v) : kink.template where<U>(blocked, g);
  }
};

/// The function on a value of any U: a pair is two vectors.
template <class U, class A, class F, class Value>
HWY_INLINE Value apply(const F& f, const Value& v, const Value& g) {
  if constexpr (requires { v.a; }) {
    using Half = VectorOf<float>;
    return {f.template of<Half, A>(v.a, g.a), f.template of<Half, A>(v.b, g.b)};
  } else {
    return f.template of<U, A>(v, g);
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
