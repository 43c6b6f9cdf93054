#pragma once
#include <tuple>

#include "fuzz/batch_norm_fields.hpp"
#include "fuzz/relatives_fields.hpp"

/// Every operation of the C interface that takes a struct of arguments.
namespace unitvar::fuzz {

/// A function of the interface, and the type of its arguments.
template <class Args>
struct Operation {
  using Arguments = Args;
  const char* name;
  unitvar_status (*call)(const Args*, const unitvar_options*);
};

inline unitvar_status fold(const unitvar_batch_norm_fold_args* args, const unitvar_options* /*options*/) {
  return unitvar_batch_norm_fold(args);
}

inline constexpr std::tuple kOperations{
    Operation<unitvar_batch_norm_forward_args>{"batch_norm_forward", unitvar_batch_norm_forward},
    Operation<unitvar_batch_norm_inference_args>{"batch_norm_inference", unitvar_batch_norm_inference},
    Operation<unitvar_batch_norm_backward_args>{"batch_norm_backward", unitvar_batch_norm_backward},
    Operation<unitvar_batch_norm_frozen_backward_args>{"batch_norm_frozen_backward",
                                                       unitvar_batch_norm_frozen_backward},
    Operation<unitvar_batch_norm_act_forward_args>{"batch_norm_act_forward", unitvar_batch_norm_act_forward},
    Operation<unitvar_batch_norm_act_inference_args>{"batch_norm_act_inference", unitvar_batch_norm_act_inference},
    Operation<unitvar_batch_norm_act_backward_args>{"batch_norm_act_backward", unitvar_batch_norm_act_backward},
    Operation<unitvar_batch_norm_act_double_backward_args>{"batch_norm_act_double_backward",
                                                           unitvar_batch_norm_act_double_backward},
    Operation<unitvar_batch_norm_act_double_backward_args>{"batch_norm_act_frozen_double_backward",
                                                           unitvar_batch_norm_act_frozen_double_backward},
    Operation<unitvar_batch_norm_statistics_backward_args>{"batch_norm_statistics_backward",
                                                           unitvar_batch_norm_statistics_backward},
    Operation<unitvar_batch_norm_double_backward_args>{"batch_norm_double_backward",
                                                       unitvar_batch_norm_double_backward},
    Operation<unitvar_batch_norm_double_backward_args>{"batch_norm_frozen_double_backward",
                                                       unitvar_batch_norm_frozen_double_backward},
    Operation<unitvar_batch_norm_jvp_args>{"batch_norm_jvp", unitvar_batch_norm_jvp},
    Operation<unitvar_batch_norm_jvp_args>{"batch_norm_frozen_jvp", unitvar_batch_norm_frozen_jvp},
    Operation<unitvar_batch_norm_ghost_forward_args>{"batch_norm_ghost_forward", unitvar_batch_norm_ghost_forward},
    Operation<unitvar_batch_norm_ghost_backward_args>{"batch_norm_ghost_backward", unitvar_batch_norm_ghost_backward},
    Operation<unitvar_batch_norm_in_place_forward_args>{"batch_norm_in_place_forward",
                                                        unitvar_batch_norm_in_place_forward},
    Operation<unitvar_batch_norm_in_place_backward_args>{"batch_norm_in_place_backward",
                                                         unitvar_batch_norm_in_place_backward},
    Operation<unitvar_batch_norm_renorm_forward_args>{"batch_norm_renorm_forward", unitvar_batch_norm_renorm_forward},
    Operation<unitvar_batch_norm_renorm_backward_args>{"batch_norm_renorm_backward",
                                                       unitvar_batch_norm_renorm_backward},
    Operation<unitvar_batch_norm_weighted_forward_args>{"batch_norm_weighted_forward",
                                                        unitvar_batch_norm_weighted_forward},
    Operation<unitvar_batch_norm_weighted_backward_args>{"batch_norm_weighted_backward",
                                                         unitvar_batch_norm_weighted_backward},
    Operation<unitvar_group_norm_forward_args>{"group_norm_forward", unitvar_group_norm_forward},
    Operation<unitvar_group_norm_forward_args>{"instance_norm_forward", unitvar_instance_norm_forward},
    Operation<unitvar_group_norm_backward_args>{"group_norm_backward", unitvar_group_norm_backward},
    Operation<unitvar_group_norm_backward_args>{"instance_norm_backward", unitvar_instance_norm_backward},
    Operation<unitvar_group_norm_double_backward_args>{"group_norm_double_backward",
                                                       unitvar_group_norm_double_backward},
    Operation<unitvar_group_norm_double_backward_args>{"instance_norm_double_backward",
                                                       unitvar_instance_norm_double_backward},
    Operation<unitvar_layer_norm_forward_args>{"layer_norm_forward", unitvar_layer_norm_forward},
    Operation<unitvar_layer_norm_backward_args>{"layer_norm_backward", unitvar_layer_norm_backward},
    Operation<unitvar_layer_norm_double_backward_args>{"layer_norm_double_backward",
                                                       unitvar_layer_norm_double_backward},
    Operation<unitvar_rms_norm_forward_args>{"rms_norm_forward", unitvar_rms_norm_forward},
    Operation<unitvar_rms_norm_backward_args>{"rms_norm_backward", unitvar_rms_norm_backward},
    Operation<unitvar_rms_norm_double_backward_args>{"rms_norm_double_backward", unitvar_rms_norm_double_backward},
    Operation<unitvar_layer_norm_add_forward_args>{"layer_norm_add_forward", unitvar_layer_norm_add_forward},
    Operation<unitvar_layer_norm_add_backward_args>{"layer_norm_add_backward", unitvar_layer_norm_add_backward},
    Operation<unitvar_rms_norm_add_forward_args>{"rms_norm_add_forward", unitvar_rms_norm_add_forward},
    Operation<unitvar_rms_norm_add_backward_args>{"rms_norm_add_backward", unitvar_rms_norm_add_backward},
    Operation<unitvar_moments_args>{"moments", unitvar_moments},
    Operation<unitvar_normalize_args>{"normalize", unitvar_normalize},
    Operation<unitvar_gradient_sums_args>{"gradient_sums", unitvar_gradient_sums},
    Operation<unitvar_input_gradient_args>{"input_gradient", unitvar_input_gradient},
    Operation<unitvar_batch_norm_fold_args>{"batch_norm_fold", fold}};

}  // namespace unitvar::fuzz
