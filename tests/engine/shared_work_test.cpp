// Counts of all ranks.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include <reward_tuner/engine/shared_work.hpp>

#include <tests/reference/thread_ranks.hpp>

TEST_CASE("counts are summed over the ranks, each by its name") {
  using namespace reward_tuner;
  for (const int size : {1, 2, 3})
    reference::on_ranks(size, [&](const Ranks& ranks) {
      const std::int64_t r = ranks.rank();
      const FlopCount flops = of_all_ranks(ranks, FlopCount{.forward = 1 + r, .replayed = 10 * r, .backward = 100});
      const std::int64_t ranks_before = size * (size - 1) / 2;  // 0 + 1 + ...
      CHECK(flops.forward == size + ranks_before);
      CHECK(flops.replayed == 10 * ranks_before);
      CHECK(flops.backward == 100 * size);
      const NetworkCounts counts = of_all_ranks(
          ranks,
          NetworkCounts{.forwards = 1, .backwards = 2 * r, .forward_samples = 3, .backward_samples = 4, .retained = r});
      CHECK(counts.forwards == size);
      CHECK(counts.backwards == 2 * ranks_before);
      CHECK(counts.forward_samples == 3 * size);
      CHECK(counts.backward_samples == 4 * size);
      CHECK(counts.retained == ranks_before);
    });
}

TEST_CASE("named numbers and tower counts come out of a parcel as they went in") {
  using namespace reward_tuner;
  Parcel parcel;
  const std::map<std::string, double> numbers{{"a", 0.5}, {"", -1}};
  add_to(parcel, numbers);
  add_to(parcel, TowerCounts{.computed = 3, .shared = 2});
  Parcel got(parcel.bytes());
  std::map<std::string, double> read;
  TowerCounts towers;
  read_from(got, read);
  read_from(got, towers);
  CHECK(read == numbers);
  CHECK(towers.computed == 3);
  CHECK(towers.shared == 2);
  CHECK(got.at_end());
}
