// Recordings of what a device does for a call, which do it again without the host's work: CUDA graphs on a card.
#pragma once
#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <utility>

namespace reward_tuner {

/// What was recorded: work on fixed memory.
class Recording {
 public:
  Recording() = default;
  virtual ~Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  /// Does the work again, after all that the device was given before: reads the memory of its inputs as it is now, and
  /// writes what it wrote.
  virtual void replay() = 0;
};

/// A device's recorder; without `record` there is none.
struct GraphRecorder {
  c10::DeviceType device = c10::DeviceType::CUDA;
  /// Records `work`, which it may run before. What it writes is there after the first replay.
  /// Errors: what the device cannot record.
  std::function<std::unique_ptr<Recording>(c10::Device device, const std::function<void()>& work)> record = {};
};

#ifdef REWARD_TUNER_CUDA  // the build has the option REWARDTUNER_CUDA: src/cuda_graph.cpp
namespace cuda {

std::unique_ptr<Recording> record_graph(c10::Device device, const std::function<void()>& work);

}  // namespace cuda
#endif

/// The one in force: CUDA's where the build has it.
inline GraphRecorder& graph_recorder() {
#ifdef REWARD_TUNER_CUDA
  static GraphRecorder recorder{c10::DeviceType::CUDA, cuda::record_graph};
#else
  static GraphRecorder recorder;
#endif
  return recorder;
}

/// While one lives, work of this thread is being recorded: nothing may wait for the device or be measured.
class RecordingScope {
 public:
  RecordingScope() : before_(std::exchange(now(), true)) {}
  ~RecordingScope() { now() = before_; }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

  /// Whether one lives.
  static bool& now() {
    thread_local bool value = false;
    return value;
  }

 private:
  bool before_;
};

}  // namespace reward_tuner
