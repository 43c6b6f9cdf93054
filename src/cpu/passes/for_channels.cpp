#include "cpu/passes/for_channels.hpp"

#include "core/vector_loop.hpp"
#include "math/backward.hpp"
#include "math/derivatives.hpp"
#include "math/forward.hpp"
#include "math/group_derivatives.hpp"
#include "math/group_math.hpp"
#include "math/merge.hpp"

namespace unitvar::cpu {

template <math::ChannelWork Work>
void for_channels(std::int64_t begin, std::int64_t end, const Work& work) noexcept {
  core::vector_loop(begin, end, work);
}

#define UNITVAR_WORK(...) template void for_channels(std::int64_t, std::int64_t, const math::__VA_ARGS__&) noexcept;
#define UNITVAR_WORK_OF_PARAMETERS(Work) \
  UNITVAR_WORK(Work<float>)              \
  UNITVAR_WORK(Work<double>)

UNITVAR_WORK(Rstd)
UNITVAR_WORK(Multiply)
UNITVAR_WORK(MergeMoments)
UNITVAR_WORK_OF_PARAMETERS(Convert)

UNITVAR_WORK_OF_PARAMETERS(Affine)
UNITVAR_WORK_OF_PARAMETERS(AffineByVariance)
UNITVAR_WORK_OF_PARAMETERS(AffineByRstd)
UNITVAR_WORK_OF_PARAMETERS(Renorm)

UNITVAR_WORK_OF_PARAMETERS(GradientFinish)
UNITVAR_WORK_OF_PARAMETERS(ParameterGradients)
UNITVAR_WORK_OF_PARAMETERS(RenormGradientFinish)
UNITVAR_WORK_OF_PARAMETERS(RenormParameterGradients)
UNITVAR_WORK_OF_PARAMETERS(InPlaceStatistics)
UNITVAR_WORK_OF_PARAMETERS(InPlaceGradientFinish)

UNITVAR_WORK(Averages)
UNITVAR_WORK(CovarianceForm)
UNITVAR_WORK(VarianceTangent)
UNITVAR_WORK_OF_PARAMETERS(TangentCoefficients)
UNITVAR_WORK_OF_PARAMETERS(StatisticsGradient)
UNITVAR_WORK_OF_PARAMETERS(SecondGradient)
UNITVAR_WORK_OF_PARAMETERS(FrozenSlope)

UNITVAR_WORK(MeanOfSum)
UNITVAR_WORK(AddProducts)
UNITVAR_WORK(AddValues)
UNITVAR_WORK_OF_PARAMETERS(GroupGradientFinish)
UNITVAR_WORK_OF_PARAMETERS(GroupSecondGradient)

#undef UNITVAR_WORK_OF_PARAMETERS
#undef UNITVAR_WORK

}  // namespace unitvar::cpu
