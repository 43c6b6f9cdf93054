#include "train/monitor.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "common/number.hpp"
#include "common/standard_streams.hpp"

namespace unitvar::train {
namespace {

constexpr std::chrono::milliseconds redraw_interval{150};
constexpr std::size_t shortest_bar = 8, longest_bar = 24;
constexpr std::int64_t plain_lines = 10;

std::size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 100;
}

std::string bar(double done, std::size_t width) {
  const auto filled = static_cast<std::size_t>(done * static_cast<double>(width));
  std::string text(width, '.');
  std::fill_n(text.begin(), filled, '=');
  if (filled < width) text[filled] = '>';
  return "[" + text + "] ";
}

std::string joined(const Progress& progress, bool with_loss, bool with_accuracy) {
  std::string text = progress.steps;
  if (with_loss) text += progress.loss;
  if (with_accuracy) text += progress.accuracy;
  return text + progress.speed + progress.time;
}

// Escape codes come out as they are where the terminal is none, as in an editor's window.
bool obeys_escape_codes() {
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && std::string_view(terminal) != "dumb" && *terminal != '\0';
}

}  // namespace

std::string progress_line(const Progress& progress, double done, std::size_t width) {
  const std::string name = fmt::format("{:<5} ", progress.name);
  std::string text = joined(progress, true, true);
  for (const bool with_accuracy : {true, false}) {
    if (name.size() + text.size() > width) text = joined(progress, false, with_accuracy);
  }
  const std::size_t used = name.size() + text.size() + bar(done, 0).size();
  if (used + shortest_bar > width) return (name + text).substr(0, width);
  return name + bar(done, std::min(longest_bar, width - used)) + text;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string count_text(std::int64_t count) {
  std::string text = fmt::format("{}", count);
  for (std::size_t end = text.size(); end > 3; end -= 3) text.insert(end - 3, ",");
  return text;
}

Monitor::Style Monitor::style_for(bool quiet) {
  if (quiet) return Style::silent;
  return ::isatty(STDERR_FILENO) != 0 && obeys_escape_codes() ? Style::bars : Style::lines;
}

Monitor::Monitor(std::vector<std::string> names, std::int64_t steps, Style style) : steps_(steps), style_(style) {
  for (std::string& name : names) lines_.emplace_back().name = std::move(name);
  if (style_ == Style::bars) drawer_ = std::thread([this] { draw_until_closed(); });
}

Monitor::~Monitor() {
  if (!drawer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  closing_.notify_all();
  drawer_.join();
}

void Monitor::start(std::size_t network, const Standing& standing) {
  const std::lock_guard lock(mutex_);
  Line& line = lines_[network];
  line.standing = standing;
  line.first_step = line.shown_step = standing.step;
  line.started = Clock::now();
}

void Monitor::update(std::size_t network, const Standing& standing) {
  const std::lock_guard lock(mutex_);
  Line& line = lines_[network];
  line.standing = standing;
  if (style_ != Style::lines) return;
  const bool new_tenth = standing.step * plain_lines / steps_ > line.shown_step * plain_lines / steps_;
  if (new_tenth) print_line(line);
}

void Monitor::finish(std::size_t network, const Standing& standing) {
  const std::lock_guard lock(mutex_);
  Line& line = lines_[network];
  line.standing = standing;
  line.finished = Clock::now();
  if (style_ == Style::lines && line.shown_step < standing.step) print_line(line);
}

void Monitor::print_line(Line& line) {
  line.shown_step = line.standing.step;
  const Progress progress = describe(line);
  tool::warn("{:<5} {}\n", progress.name, joined(progress, true, true));
}

void Monitor::draw_until_closed() {
  std::unique_lock lock(mutex_);
  while (!closing_.wait_for(lock, redraw_interval, [this] { return closed_; })) draw_bars();
  draw_bars();
}

void Monitor::draw_bars() {
  const std::size_t width = terminal_width();
  std::string text = drawn_ ? fmt::format("\x1b[{}A", lines_.size()) : "";
  for (const Line& line : lines_) {
    // A line as wide as the terminal would wrap, and the next redraw would start too low.
    const double done = static_cast<double>(line.standing.step) / static_cast<double>(steps_);
    text += "\r\x1b[K" + progress_line(describe(line), done, width - 1) + "\n";
  }
  drawn_ = true;
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

Progress Monitor::describe(const Line& line) const {
  const auto& [step, loss, accuracy] = line.standing;
  Progress progress{.name = line.name, .steps = fmt::format("step {} of {}", count_text(step), count_text(steps_))};
  if (!line.started) {
    progress.time = ", waiting";
    return progress;
  }
  if (step > 0) progress.loss = fmt::format("  loss {:.4f}", tool::unsigned_nan(loss));
  if (accuracy) progress.accuracy = fmt::format("  test {:.2f} %", 100 * *accuracy);
  const double elapsed = std::chrono::duration<double>(line.finished.value_or(Clock::now()) - *line.started).count();
  const double rate = static_cast<double>(step - line.first_step) / std::max(elapsed, 1e-9);
  if (rate <= 0) return progress;
  progress.speed = fmt::format("  {} steps/s", count_text(static_cast<std::int64_t>(rate)));
  progress.time = step == steps_ ? "  took " + clock_text(elapsed)
                                 : "  " + clock_text(static_cast<double>(steps_ - step) / rate) + " left";
  return progress;
}

}  // namespace unitvar::train
