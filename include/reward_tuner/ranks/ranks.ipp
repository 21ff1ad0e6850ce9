// Definitions of ranks.hpp.
#pragma once
#include <reward_tuner/ranks/ranks.hpp>

#include <algorithm>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Ranks::Ranks(std::shared_ptr<RankLink> link) : link_(std::move(link)) {
  REWARD_TUNER_CHECK(link_ != nullptr, "[Ranks] expected a link to the other ranks, got none");
  REWARD_TUNER_CHECK(link_->size() >= 1 && link_->rank() >= 0 && link_->rank() < link_->size(),
                     "[Ranks] expected a rank in 0..", link_->size() - 1, ", got ", link_->rank());
}

REWARD_TUNER_INLINE std::pair<std::int64_t, std::int64_t> Ranks::own(std::int64_t count, std::int64_t piece) const {
  const std::int64_t pieces = (count + piece - 1) / piece, each = pieces / size(), more = pieces % size();
  const std::int64_t begin = rank() * each + std::min<std::int64_t>(rank(), more);
  const std::int64_t end = begin + each + (rank() < more ? 1 : 0);
  return {std::min(begin * piece, count), std::min(end * piece, count)};
}

REWARD_TUNER_INLINE std::vector<Parcel> Ranks::gather(std::string_view what, const Parcel& own) const {
  if (alone()) return {Parcel(own.bytes())};
  const StageScope stage(Stage::kCommunication);
  Parcel marked;
  marked.add_text(what);
  const std::vector<Tensor> got = link_->gather(Parcel(marked.bytes() + own.bytes()).message());
  std::vector<Parcel> out;
  for (const Tensor& one : got) {
    out.emplace_back(one);
    const std::string theirs = out.back().text();
    REWARD_TUNER_CHECK(theirs == what, "[Ranks] rank ", out.size() - 1, " does something else than rank ", rank(),
                       ": expected ", what, ", got ", theirs,
                       "; all ranks must run the same program with the same options");
  }
  return out;
}

REWARD_TUNER_INLINE double Ranks::firsts(double value) const {
  if (alone()) return value;
  Parcel own;
  own.add_number(value);
  return gather("a number of rank 0", own).front().number();
}

REWARD_TUNER_INLINE bool Ranks::any(bool own) const {
  if (alone()) return own;
  Parcel parcel;
  parcel.add_integer(own ? 1 : 0);
  bool out = false;
  for (Parcel& one : gather("a question to all", parcel)) out = one.integer() == 1 || out;
  return out;
}

}  // namespace reward_tuner
