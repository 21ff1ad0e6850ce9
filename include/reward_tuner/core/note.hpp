// Sentences for the user that are no errors: what was corrected, cut or left out. One place for all of them, so that a
// program decides where they go.
#pragma once
#include <functional>
#include <iostream>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <utility>

namespace reward_tuner {

namespace detail {

/// Where notes go, and which were said. A sink of a NoteScope takes the place of stderr while it lives.
struct NoteDesk {
  std::mutex mutex;
  std::function<void(const std::string&)> sink = [](const std::string& text) {
    std::cerr << "note: " + text + "\n" << std::flush;
  };
  std::set<std::string> said;

  static NoteDesk& get() {
    static NoteDesk desk;
    return desk;
  }
};

}  // namespace detail

/// Says the streamed parts as one sentence, on stderr unless a NoteScope listens; a sentence said before is not said
/// again, so that a folder that is loaded twice is explained once.
/// Example: note("[StableDiffusion] ", file, " has no steps_offset: 1 is used, as by diffusers");
template <class... Parts>
void note(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  auto& desk = detail::NoteDesk::get();
  const std::lock_guard lock(desk.mutex);
  if (desk.said.insert(text.str()).second) desk.sink(text.str());
}

/// Sends notes to `sink` while it lives, those said before included. Scopes end in reverse order of their beginning.
class NoteScope {
 public:
  explicit NoteScope(std::function<void(const std::string&)> sink) {
    auto& desk = detail::NoteDesk::get();
    const std::lock_guard lock(desk.mutex);
    outer_sink_ = std::exchange(desk.sink, std::move(sink));
    outer_said_ = std::exchange(desk.said, {});
  }
  ~NoteScope() {
    auto& desk = detail::NoteDesk::get();
    const std::lock_guard lock(desk.mutex);
    desk.sink = std::move(outer_sink_);
    desk.said = std::move(outer_said_);
  }
  NoteScope(const NoteScope&) = delete;
  NoteScope& operator=(const NoteScope&) = delete;

 private:
  std::function<void(const std::string&)> outer_sink_;
  std::set<std::string> outer_said_;
};

}  // namespace reward_tuner
