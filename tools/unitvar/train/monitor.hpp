#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace unitvar::train {

/// Where one network stands, as shown to the user.
struct Standing {
  std::int64_t step = 0;
  double loss = 0;                      ///< mean since the last evaluation
  std::optional<double> test_accuracy;  ///< of the last evaluation
};

/// What a line of progress says, in this order. Parts behind the first two begin with what stands between.
struct Progress {
  std::string name, steps, loss = {}, accuracy = {}, speed = {}, time = {};
};

/// The line in at most `width` letters, with a bar of which `done` is full. What a narrow terminal goes without is
/// first the bar, then the loss, then the accuracy.
[[nodiscard]] std::string progress_line(const Progress& progress, double done, std::size_t width);

/// Shows the progress of several networks on standard error. On a terminal it is a bar for each, redrawn in place. Else
/// it is a plain line at every tenth of the steps; nothing if quiet. Training threads call start, update and finish,
/// each for its own network. Drawing happens on a thread of its own.
class Monitor {
 public:
  enum class Style { bars, lines, silent };
  /// What suits standard error.
  static Style style_for(bool quiet);

  Monitor(std::vector<std::string> names, std::int64_t steps, Style style);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  void start(std::size_t network, const Standing& standing);
  void update(std::size_t network, const Standing& standing);
  void finish(std::size_t network, const Standing& standing);

 private:
  using Clock = std::chrono::steady_clock;
  struct Line {
    std::string name;
    Standing standing;
    std::int64_t first_step = 0, shown_step = 0;
    std::optional<Clock::time_point> started, finished;
  };

  void draw_until_closed();
  void draw_bars();
  void print_line(Line& line);
  [[nodiscard]] Progress describe(const Line& line) const;

  const std::int64_t steps_;
  const Style style_;
  std::mutex mutex_;
  std::vector<Line> lines_;
  bool drawn_ = false, closed_ = false;
  std::condition_variable closing_;
  std::thread drawer_;
};

/// "1:02:03" or "2:03".
std::string clock_text(double seconds);

/// "12,345"
std::string count_text(std::int64_t count);

}  // namespace unitvar::train
