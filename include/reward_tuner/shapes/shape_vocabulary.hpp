// The small language of the shape images: shapes, colors, sizes, backgrounds, relations, and the caption grammar
// with its parser.
#pragma once
#include <array>
#include <cctype>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/lower_ascii.hpp>

namespace reward_tuner::shapes {

/// A color in [0,1] per channel.
struct Rgb {
  float red = 0, green = 0, blue = 0;
};

/// A color with the word that captions use for it.
struct NamedColor {
  std::string_view name;
  Rgb rgb;
};

/// Shapes; an index into this table names a shape everywhere.
inline constexpr std::array<std::string_view, 6> kShapeNames = {"circle", "square", "triangle",
                                                                "star",   "ring",   "cross"};

/// Colors of objects: bright and far apart from each other and from every background.
inline constexpr std::array<NamedColor, 8> kObjectColors = {{{"red", {0.88f, 0.14f, 0.14f}},
                                                             {"green", {0.15f, 0.70f, 0.22f}},
                                                             {"blue", {0.16f, 0.34f, 0.94f}},
                                                             {"yellow", {0.96f, 0.88f, 0.16f}},
                                                             {"purple", {0.62f, 0.18f, 0.78f}},
                                                             {"orange", {0.98f, 0.54f, 0.10f}},
                                                             {"cyan", {0.20f, 0.84f, 0.88f}},
                                                             {"white", {0.96f, 0.96f, 0.96f}}}};

/// Colors of backgrounds: dark and pale of hue. An image may shade its background by +-25% from one side to the
/// other.
inline constexpr std::array<NamedColor, 4> kBackgroundColors = {{{"black", {0.05f, 0.05f, 0.05f}},
                                                                 {"grey", {0.42f, 0.42f, 0.42f}},
                                                                 {"navy", {0.07f, 0.10f, 0.30f}},
                                                                 {"brown", {0.34f, 0.23f, 0.15f}}}};

/// The size word of an object. Radii in pixels of a 64 x 64 image: small 8 to 11, large 17 to 21; what lies between
/// is never named.
enum class ObjectSize { kUnnamed, kSmall, kLarge };

/// How the first object lies to the second. `kNone`: there is one object; `kAnd`: two objects, nothing said about their
/// places.
enum class Relation { kNone, kAnd, kLeftOf, kRightOf, kAbove, kBelow };

/// Words of the relations, indexed by Relation.
inline constexpr std::array<std::string_view, 6> kRelationWords = {"", "and", "left of", "right of", "above", "below"};

/// Whether the relation says where its objects lie.
constexpr bool names_direction(Relation relation) { return relation != Relation::kNone && relation != Relation::kAnd; }

/// One object as a caption describes it: indices into kShapeNames and kObjectColors.
struct CaptionObject {
  int shape = 0;
  int color = 0;
  ObjectSize size = ObjectSize::kUnnamed;
  friend bool operator==(const CaptionObject&, const CaptionObject&) = default;
};

/// The meaning of a caption. `background` is an index into kBackgroundColors, empty where the caption does not say.
struct Caption {
  std::vector<CaptionObject> objects;
  Relation relation = Relation::kNone;
  std::optional<int> background;
  friend bool operator==(const Caption&, const Caption&) = default;
};

/// Shape and color pairs that the pretraining images never show: {shape, color}. They measure generalization to new
/// combinations.
inline constexpr std::array<std::pair<int, int>, 6> kHeldOutPairs = {{{0, 7}, {1, 4}, {2, 3}, {3, 0}, {4, 2}, {5, 1}}};

/// Whether the pair is kept out of the pretraining images.
constexpr bool is_held_out(int shape, int color) {
  for (const auto& [s, c] : kHeldOutPairs)
    if (s == shape && c == color) return true;
  return false;
}

/// Index of a word in a table of words or named colors, empty if the table does not have it.
template <class Table>
std::optional<int> index_of_word(const Table& table, std::string_view word) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if constexpr (requires { table[i].name; }) {
      if (table[i].name == word) return static_cast<int>(i);
    } else if (table[i] == word) {
      return static_cast<int>(i);
    }
  }
  return std::nullopt;
}

/// "a red circle", "an orange ring", "a small cyan star".
inline std::string object_phrase(const CaptionObject& object) {
  std::string words = object.size == ObjectSize::kSmall ? "small " : object.size == ObjectSize::kLarge ? "large " : "";
  words += kObjectColors[static_cast<std::size_t>(object.color)].name;
  words += ' ';
  words += kShapeNames[static_cast<std::size_t>(object.shape)];
  return (words.starts_with('o') ? "an " : "a ") + words;
}

/// The caption in words, lower case: `object [relation object] [on a BACKGROUND background]`. The inverse of
/// parse_caption.
/// Example: "a red circle left of a small blue square on a grey background".
inline std::string compose_caption(const Caption& caption) {
  REWARD_TUNER_CHECK(caption.objects.size() == (caption.relation == Relation::kNone ? 1u : 2u),
                     "[Caption] expected one object without and two with a relation, got ", caption.objects.size(),
                     " objects");
  std::string text = object_phrase(caption.objects[0]);
  if (caption.relation != Relation::kNone) {
    text += ' ';
    text += kRelationWords[static_cast<std::size_t>(caption.relation)];
    text += ' ' + object_phrase(caption.objects[1]);
  }
  if (caption.background) {
    text += " on a ";
    text += kBackgroundColors[static_cast<std::size_t>(*caption.background)].name;
    text += " background";
  }
  return text;
}

/// Every word the grammar can produce, each once: what the tokenizer is trained on.
inline std::vector<std::string> caption_words() {
  std::vector<std::string> words = {"a",    "an",    "the",   "picture", "of", "small", "large",     "and",
                                    "left", "right", "above", "below",   "to", "on",    "background"};
  for (const auto& name : kShapeNames) words.emplace_back(name);
  for (const auto& color : kObjectColors) words.emplace_back(color.name);
  for (const auto& color : kBackgroundColors) words.emplace_back(color.name);
  return words;
}

namespace detail {

/// Reads a caption word by word; letters are lowered, full stops and commas count as spaces.
class CaptionReader {
 public:
  explicit CaptionReader(std::string_view text) : text_(text) {
    std::string word;
    for (const char c : lower_ascii(std::string(text))) {
      if (std::isspace(static_cast<unsigned char>(c)) || c == '.' || c == ',') {
        if (!word.empty()) words_.push_back(std::exchange(word, {}));
      } else {
        word += c;
      }
    }
    if (!word.empty()) words_.push_back(std::move(word));
  }

  bool at_end() const { return next_ == words_.size(); }
  std::string_view peek() const { return at_end() ? std::string_view() : std::string_view(words_[next_]); }
  bool take(std::string_view word) { return peek() == word && !at_end() ? (++next_, true) : false; }
  bool take_article() { return take("a") || take("an") || take("the"); }

  template <class Table>
  int want(const Table& table, const char* kind) {
    const auto index = index_of_word(table, peek());
    REWARD_TUNER_CHECK(index, "[Caption] expected ", kind, " at word ", next_ + 1, ", got \"", peek(), "\" in \"",
                       text_, "\"");
    ++next_;
    return *index;
  }
  void want(std::string_view word) {
    REWARD_TUNER_CHECK(take(word), "[Caption] expected \"", word, "\" at word ", next_ + 1, ", got \"", peek(),
                       "\" in \"", text_, "\"");
  }

 private:
  std::string_view text_;
  std::vector<std::string> words_;
  std::size_t next_ = 0;
};

inline CaptionObject read_object(CaptionReader& in) {
  CaptionObject object;
  in.take_article();
  if (in.take("small")) object.size = ObjectSize::kSmall;
  else if (in.take("large")) object.size = ObjectSize::kLarge;
  object.color = in.want(kObjectColors, "a color");
  object.shape = in.want(kShapeNames, "a shape");
  return object;
}

inline Relation read_relation(CaptionReader& in) {
  if (in.take("and")) return Relation::kAnd;
  if (in.take("above")) return Relation::kAbove;
  if (in.take("below")) return Relation::kBelow;
  if (in.take("to")) in.want("the");
  if (in.take("left")) return in.want("of"), Relation::kLeftOf;
  if (in.take("right")) return in.want("of"), Relation::kRightOf;
  return Relation::kNone;
}

}  // namespace detail

/// The meaning of a caption in this grammar: `[a picture of] object [relation object] [on a BACKGROUND background]`,
/// where an object is `[a|an|the] [small|large] COLOR SHAPE`. Throws Error with the first word that does not fit.
inline Caption parse_caption(std::string_view text) {
  detail::CaptionReader in(text);
  Caption caption;
  if (in.take_article(); in.take("picture")) in.want("of");
  caption.objects.push_back(detail::read_object(in));
  caption.relation = detail::read_relation(in);
  if (caption.relation != Relation::kNone) caption.objects.push_back(detail::read_object(in));
  if (in.take("on")) {
    in.take_article();
    caption.background = in.want(kBackgroundColors, "a background color");
    in.want("background");
  }
  REWARD_TUNER_CHECK(in.at_end(), "[Caption] expected the end, a relation or \"on a ... background\", got \"",
                     in.peek(), "\" in \"", text, "\"");
  return caption;
}

}  // namespace reward_tuner::shapes
