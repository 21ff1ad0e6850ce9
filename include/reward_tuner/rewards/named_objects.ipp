// Definitions of named_objects.hpp.
#pragma once
#include <reward_tuner/rewards/named_objects.hpp>

#include <algorithm>
#include <cstddef>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// Runs of letters and digits, ASCII letters in lower case. Bytes of other characters are letters.
inline std::vector<std::string> plain_words(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || byte >= 0x80)
      words.back().push_back(static_cast<char>(upper ? c - 'A' + 'a' : c));
    else if (!words.back().empty()) words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// Whether the words of `name` stand in `words` at `at`; the last one may be a plural.
inline bool names_at(const std::vector<std::string>& words, std::size_t at, const std::vector<std::string>& name) {
  if (name.empty() || at + name.size() > words.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const std::string& word = words[at + i];
    const bool last = i + 1 == name.size();
    if (word != name[i] && !(last && (word == name[i] + "s" || word == name[i] + "es"))) return false;
  }
  return true;
}

}  // namespace detail

REWARD_TUNER_INLINE std::vector<std::string> coco_objects() {
  return {
      "person",         "bicycle",    "car",           "motorcycle",    "airplane",     "bus",           "train",
      "truck",          "boat",       "traffic light", "fire hydrant",  "stop sign",    "parking meter", "bench",
      "bird",           "cat",        "dog",           "horse",         "sheep",        "cow",           "elephant",
      "bear",           "zebra",      "giraffe",       "backpack",      "umbrella",     "handbag",       "tie",
      "suitcase",       "frisbee",    "skis",          "snowboard",     "sports ball",  "kite",          "baseball bat",
      "baseball glove", "skateboard", "surfboard",     "tennis racket", "bottle",       "wine glass",    "cup",
      "fork",           "knife",      "spoon",         "bowl",          "banana",       "apple",         "sandwich",
      "orange",         "broccoli",   "carrot",        "hot dog",       "pizza",        "donut",         "cake",
      "chair",          "couch",      "potted plant",  "bed",           "dining table", "toilet",        "tv",
      "laptop",         "mouse",      "remote",        "keyboard",      "cell phone",   "microwave",     "oven",
      "toaster",        "sink",       "refrigerator",  "book",          "clock",        "vase",          "scissors",
      "teddy bear",     "hair drier", "toothbrush"};
}

REWARD_TUNER_INLINE std::vector<std::string> named_objects(std::string_view prompt,
                                                           const std::vector<std::string>& objects) {
  const std::vector<std::string> words = detail::plain_words(prompt);
  std::vector<std::vector<std::string>> names;
  for (const std::string& object : objects) names.push_back(detail::plain_words(object));
  std::vector<std::string> found;
  for (std::size_t at = 0; at < words.size();) {
    std::size_t best = names.size();
    for (std::size_t i = 0; i < names.size(); ++i)
      if (detail::names_at(words, at, names[i]) && (best == names.size() || names[i].size() > names[best].size()))
        best = i;
    if (best == names.size()) {
      ++at;
      continue;
    }
    if (std::ranges::find(found, objects[best]) == found.end()) found.push_back(objects[best]);
    at += names[best].size();
  }
  return found;
}

}  // namespace reward_tuner
