#include "train_command.hpp"

#include <memory>

#include "train/run.hpp"

namespace unitvar::cli {
namespace {

using train::Options;

const std::map<std::string, train::Norm> norms = {
    {"batch", train::Norm::batch}, {"none", train::Norm::none}, {"both", train::Norm::both}};
const std::map<std::string, train::Activation> activations = {
    {"sigmoid", train::Activation::sigmoid}, {"tanh", train::Activation::tanh}, {"relu", train::Activation::relu}};

// A name out of a table; only names, where CLI11's own transformer would take the numbers behind them too.
template <class Enum>
void add_choice(CLI::App& command, const std::string& name, Enum& value, const std::map<std::string, Enum>& table,
                const std::string& help) {
  const auto assign = [&value, &table](const std::string& text) { value = table.at(text); };
  command.add_option_function<std::string>(name, assign, help)->check(CLI::IsMember(table));
}

void add_network_options(CLI::App& command, Options& options) {
  add_choice(command, "--norm", options.norm, norms, "networks to train: batch, none or both [both]");
  command.add_option("--hidden", options.hidden, "units of each hidden layer")->delimiter(',')->capture_default_str();
  add_choice(command, "--activation", options.activation, activations, "sigmoid, tanh or relu [sigmoid]");
}

void add_training_options(CLI::App& command, Options& options) {
  command.add_option("--steps", options.steps, "training steps")->capture_default_str();
  command.add_option("--batch", options.batch, "images a step")->capture_default_str();
  command.add_option("--lr", options.lr, "learning rate")->capture_default_str();
  command.add_option("--seed", options.seed, "of the weights and of the order of images")->capture_default_str();
  command.add_option("--threads", options.threads, "0 for all of the machine; changes no bits")->capture_default_str();
}

void add_file_options(CLI::App& command, Options& options) {
  command.add_option("--data", options.data, "folder of the four IDX files")->capture_default_str();
  command.add_option("--out", options.out, "folder for everything written")->capture_default_str();
  command.add_option("--eval-every", options.eval_every, "steps between evaluations")->capture_default_str();
  command.add_option("--checkpoint-every", options.checkpoint_every, "steps between checkpoints")
      ->capture_default_str();
  command.add_flag("--resume", options.resume, "continue from the checkpoints in --out");
  command.add_flag("--quiet", options.quiet, "print nothing but errors and warnings");
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "train",
      "Train a network on Fashion-MNIST with and without batch normalization (Ioffe & Szegedy 2015, figure 1)");
  add_network_options(*command, *options);
  add_training_options(*command, *options);
  add_file_options(*command, *options);
  command->callback([options, &action] { action = [options] { return train::run(*options); }; });
}

}  // namespace unitvar::cli
