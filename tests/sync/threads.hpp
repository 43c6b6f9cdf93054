#pragma once
#include <thread>
#include <vector>

#include "unitvar/thread_group.hpp"

namespace unitvar::test {

/// Runs work(communicator) on every rank of the group, each in a thread of its own.
template <class Work>
void on_all_ranks(ThreadGroup& group, const Work& work) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < group.size(); ++rank) {
    threads.emplace_back([&, rank] { work(group.communicator(rank)); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace unitvar::test
