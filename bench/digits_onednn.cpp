#include "bench/digits.hpp"

#if UNITVAR_ONEDNN
#include <unordered_map>

#include "bench/onednn_descriptors.hpp"

namespace unitvar::bench {

using dnnl::memory;

std::optional<Outcome> run_onednn(const Images& images, float eps) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto tag = images.channels_last ? memory::format_tag::nhwc : memory::format_tag::nchw;
  const memory::desc tensor({images.n, images.c, images.h, images.w}, memory::data_type::f32, tag);
  const memory::desc vector({images.c}, memory::data_type::f32, memory::format_tag::a);
  const auto on = [&](const memory::desc& desc, std::vector<float>& values) {
    return memory(desc, engine, values.data());
  };

  Images in = images;
  const auto channels = static_cast<std::size_t>(images.c);
  std::vector<float> gamma(channels, 1), beta(channels, 0), mean(channels), var(channels);
  Outcome out{std::vector<float>(in.x.size()), std::vector<float>(in.x.size()), std::vector<float>(channels),
              std::vector<float>(channels)};
  const memory x = on(tensor, in.x), scale = on(vector, gamma), mean_memory = on(vector, mean),
               var_memory = on(vector, var);

  const Descriptors of = describe(Pass::backward, tensor, eps, engine);
  dnnl::batch_normalization_forward(of.forward)
      .execute(stream, {{DNNL_ARG_SRC, x},
                        {DNNL_ARG_DST, on(tensor, out.y)},
                        {DNNL_ARG_MEAN, mean_memory},
                        {DNNL_ARG_VARIANCE, var_memory},
                        {DNNL_ARG_SCALE, scale},
                        {DNNL_ARG_SHIFT, on(vector, beta)}});
  std::unordered_map<int, memory> arguments = {{DNNL_ARG_SRC, x},
                                               {DNNL_ARG_DIFF_DST, on(tensor, in.dy)},
                                               {DNNL_ARG_MEAN, mean_memory},
                                               {DNNL_ARG_VARIANCE, var_memory},
                                               {DNNL_ARG_SCALE, scale},
                                               {DNNL_ARG_DIFF_SRC, on(tensor, out.dx)},
                                               {DNNL_ARG_DIFF_SCALE, on(vector, out.dgamma)},
                                               {DNNL_ARG_DIFF_SHIFT, on(vector, out.dbeta)}};
  if (backward_takes_shift) arguments[DNNL_ARG_SHIFT] = on(vector, beta);
  dnnl::batch_normalization_backward(*of.backward).execute(stream, arguments);
  stream.wait();
  return out;
}

}  // namespace unitvar::bench

#else

namespace unitvar::bench {
std::optional<Outcome> run_onednn(const Images&, float) { return std::nullopt; }
}  // namespace unitvar::bench

#endif
