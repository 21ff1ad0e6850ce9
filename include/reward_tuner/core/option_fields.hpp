// The fields of an options aggregate by name: what config.json and the comparison on a resume are made of.
#pragma once
#include <string_view>
#include <type_traits>

// clang-format off
#define REWARD_TUNER_RESCAN(...) REWARD_TUNER_RESCAN_3(REWARD_TUNER_RESCAN_3(REWARD_TUNER_RESCAN_3(__VA_ARGS__)))
#define REWARD_TUNER_RESCAN_3(...) REWARD_TUNER_RESCAN_2(REWARD_TUNER_RESCAN_2(REWARD_TUNER_RESCAN_2(__VA_ARGS__)))
#define REWARD_TUNER_RESCAN_2(...) REWARD_TUNER_RESCAN_1(REWARD_TUNER_RESCAN_1(REWARD_TUNER_RESCAN_1(__VA_ARGS__)))
#define REWARD_TUNER_RESCAN_1(...) __VA_ARGS__
#define REWARD_TUNER_NO_ARGUMENTS ()
#define REWARD_TUNER_VISIT_FIELD(field, ...) \
  visit_(std::string_view(#field), aggregate_.field); \
  __VA_OPT__(REWARD_TUNER_VISIT_NEXT REWARD_TUNER_NO_ARGUMENTS (__VA_ARGS__))
#define REWARD_TUNER_VISIT_NEXT() REWARD_TUNER_VISIT_FIELD
// clang-format on

/// Says the fields of an aggregate, all of them in their order, directly below it:
///   struct FirstStepsOptions { int num_trained = 2; };
///   REWARD_TUNER_FIELDS(FirstStepsOptions, num_trained)
/// It defines visit_fields(const Type&, visit), which calls visit(name, value) for each. A field that is left out does
/// not compile: the structured binding wants as many names as there are fields.
#define REWARD_TUNER_FIELDS(Type, ...)                         \
  template <class Visit>                                       \
  void visit_fields(const Type& aggregate_, Visit visit_) {    \
    [[maybe_unused]] const auto& [__VA_ARGS__] = aggregate_;   \
    REWARD_TUNER_RESCAN(REWARD_TUNER_VISIT_FIELD(__VA_ARGS__)) \
  }                                                            \
  static_assert(true, "a semicolon may follow")

namespace reward_tuner {

namespace detail {
struct IgnoreField {
  void operator()(std::string_view, const auto&) const {}
};
}  // namespace detail

/// An aggregate whose fields are known: REWARD_TUNER_FIELDS stands below it, or it has none.
template <class Options>
concept KnownFields =
    std::is_empty_v<Options> || requires(const Options& options) { visit_fields(options, detail::IgnoreField()); };

}  // namespace reward_tuner
