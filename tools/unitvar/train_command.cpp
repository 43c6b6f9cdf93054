#include "train_command.hpp"

#include <fmt/ranges.h>

#include <memory>

#include "add_options.hpp"
#include "train/run.hpp"

namespace unitvar::cli {
namespace {

using train::Options;

const std::map<std::string, train::Norm> norms = {
    {"batch", train::Norm::batch}, {"none", train::Norm::none}, {"both", train::Norm::both}};
const std::map<std::string, bool> switches = {{"on", true}, {"off", false}};
const std::map<std::string, train::Activation> activations = {
    {"sigmoid", train::Activation::sigmoid}, {"tanh", train::Activation::tanh}, {"relu", train::Activation::relu}};

// A name out of a table; only names, where CLI11's own transformer would take the numbers behind them too.
template <class Enum>
void add_choice(CLI::App& command, const std::string& name, Enum& value, const std::map<std::string, Enum>& table,
                const std::string& help, const std::string& usual) {
  const auto assign = [&value, &table](const std::string& text) { value = table.at(text); };
  command.add_option_function<std::string>(name, assign, help)
      ->type_name("NAME")
      ->check(CLI::IsMember(table))
      ->default_str(usual);
}

void add_widths(CLI::App& command, const std::string& name, std::vector<std::int64_t>& widths,
                const std::string& help) {
  const auto assign = [&widths, name](const std::string& text) {
    widths.clear();
    for (const std::string& part : CLI::detail::split(text, ','))
      widths.push_back(tool::parse_number<std::int64_t>(name, part));
  };
  const std::string usual = fmt::format("{}", fmt::join(widths, ","));
  command.add_option_function<std::string>(name, assign, help)->type_name("LIST")->default_str(usual);
}

void add_network_options(CLI::App& command, Options& options) {
  add_choice(command, "--norm", options.norm, norms, "networks to train", "both");
  add_widths(command, "--hidden", options.hidden, "units of each hidden layer");
  add_choice(command, "--activation", options.activation, activations, "of the hidden layers", "sigmoid");
}

void add_training_options(CLI::App& command, Options& options) {
  add_number(command, "--steps", options.steps, "training steps");
  add_number(command, "--batch", options.batch, "images a step");
  add_number(command, "--lr", options.lr, "learning rate");
  add_number(command, "--seed", options.seed, "of the weights and of the order of images");
  add_number(command, "--threads", options.threads, "0 for all of the machine; changes no bits");
  add_choice(command, "--sync-bn", options.sync_bn, switches,
             "under mpirun: batch statistics of all ranks (on), or of each rank's part", "on");
}

void add_file_options(CLI::App& command, Options& options) {
  command.add_option("--data", options.data, "folder of the four IDX files")
      ->type_name("FOLDER")
      ->capture_default_str();
  command.add_option("--out", options.out, "folder for everything written")->type_name("FOLDER")->capture_default_str();
  add_number(command, "--eval-every", options.eval_every, "steps between evaluations");
  add_number(command, "--checkpoint-every", options.checkpoint_every, "steps between checkpoints");
  command.add_flag("--resume", options.resume, "continue from the checkpoints in --out");
  command.add_flag("--force", options.force, "delete an earlier run in --out");
  command.add_flag("--quiet", options.quiet, "print nothing but errors and warnings");
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "train",
      "Train a network on Fashion-MNIST with and without batch normalization (Ioffe & Szegedy 2015, figure 1)");
  // So that a script can put what it is given behind its own options.
  command->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_network_options(*command, *options);
  add_training_options(*command, *options);
  add_file_options(*command, *options);
  command->callback([options, &action] { action = [options] { return train::run(*options); }; });
}

}  // namespace unitvar::cli
