#include "check_command.hpp"

#include <memory>

#include "add_options.hpp"
#include "check/run.hpp"

namespace unitvar::cli {
void add_check_command(CLI::App& app, Action& action) {
  const auto options = std::make_shared<check::Options>();
  CLI::App* command = app.add_subcommand(
      "check",
      "Say whether your own normalization is right, and if not, which term it lost. Exit code 0: right, 1: wrong, "
      "2: no answer");
  command->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command
      ->add_option("file", options->file,
                   "of numpy.savez: x; dy, gamma, beta; any of y, dx, dgamma, dbeta, mean, var, rstd, running_mean, "
                   "running_var, and running_mean_before, running_var_before")
      ->type_name("CASE.npz");
  command->add_option("--op", options->op, "batch_norm, layer_norm, rms_norm, group_norm, instance_norm")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--layout", options->layout, "channels_first, channels_last")
      ->type_name("NAME")
      ->capture_default_str();
  add_text(*command, "--dtype", options->dtype, "NAME",
           "f32, f64, bf16, f16: in which your layer computed; else the least precise in the file");
  add_number(*command, "--groups", options->groups, "of group_norm");
  add_number(*command, "--eps", options->eps, "beside the variance, in the root");
  add_number(*command, "--momentum", options->momentum, "the weight of the new batch");
  command->add_flag("--relu", options->relu, "a ReLU follows: y is behind it, and dy arrives there");
  command->add_flag("--inference", options->inference, "normalized by the running statistics before the step");
  command->add_flag("--self", options->self, "check this library on this machine: all instruction sets and dtypes");
  command->add_flag("--mistakes", options->mistakes, "list the mistakes that it knows");
  add_text(*command, "--json", options->json, "FILE", "write all of it to this file; - for standard output");
  add_text(*command, "--plot", options->plot, "FILE", "draw the digits that each result keeps: a .png or .svg file");
  command->callback([options, &action] { action = [options] { return check::run(*options); }; });
}

}  // namespace unitvar::cli
