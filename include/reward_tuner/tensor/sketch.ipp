// Definitions of sketch.hpp.
#pragma once
#include <reward_tuner/tensor/sketch.hpp>

#include <algorithm>
#include <map>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::int64_t SketchTensor::numel(const std::vector<std::int64_t>& sizes) {
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) product *= size;
  return product;
}

REWARD_TUNER_INLINE SketchTensor SketchTensor::view(std::vector<std::int64_t> sizes) const {
  SketchTensor out = *this;
  out.part_ = part_ || numel(sizes) != numel();
  out.sizes_ = std::move(sizes);
  return out;
}

REWARD_TUNER_INLINE SketchTensor SketchTensor::detach() const {
  SketchTensor out = *this;
  out.node_ = nullptr;
  return out;
}

REWARD_TUNER_INLINE SketchTensor Sketch::empty(std::vector<std::int64_t> sizes, std::int64_t element) {
  SketchTensor out;
  out.sizes_ = std::move(sizes);
  out.element_ = element;
  const std::int64_t bytes = out.bytes();
  count_->live += bytes;
  count_->peak = std::max(count_->peak, count_->live);
  out.memory_ = std::shared_ptr<const void>(static_cast<const void*>(count_.get()),
                                            [count = count_, bytes](const void*) { count->live -= bytes; });
  return out;
}

REWARD_TUNER_INLINE bool Sketch::records(const std::vector<SketchTensor>& inputs, bool parameters) const {
  return recording_ && (parameters || std::any_of(inputs.begin(), inputs.end(),
                                                  [](const SketchTensor& x) { return x.requires_grad(); }));
}

REWARD_TUNER_INLINE void Sketch::record(std::vector<SketchTensor*> outputs, const std::vector<SketchTensor>& inputs,
                                        const std::vector<SketchTensor>& saved, SketchNode::Backward backward,
                                        bool parameters) {
  if (!records(inputs, parameters)) return;
  auto node = std::make_shared<SketchNode>();
  node->order = ++operations_;
  for (const SketchTensor& x : saved) node->saved.push_back(x.detach());
  for (const SketchTensor& x : inputs) node->inputs.emplace_back(x.node_, x.output_);
  node->backward = std::move(backward);
  node->outputs = outputs.size();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    outputs[i]->node_ = node;
    outputs[i]->output_ = i;
  }
}

REWARD_TUNER_INLINE SketchTensor Sketch::leaf(SketchTensor value, std::shared_ptr<SketchParameter> parameter) {
  auto node = std::make_shared<SketchNode>();
  node->backward = [this, parameter = std::move(parameter)](std::vector<SketchTensor> cotangents) {
    accumulate(*parameter, cotangents[0]);
    return std::vector<SketchTensor>();
  };
  value.node_ = std::move(node);
  value.output_ = 0;
  return value;
}

REWARD_TUNER_INLINE void Sketch::accumulate(SketchParameter& parameter, const SketchTensor& gradient) {
  if (parameter.gradient.defined()) return;  // added in place
  parameter.gradient = gradient.part_ ? like(gradient) : gradient.detach();
}

REWARD_TUNER_INLINE SketchTensor Sketch::sum(SketchTensor a, SketchTensor b) {
  if (!a.defined()) return b;
  if (!b.defined()) return a;
  return a.part_ || a.shared() ? like(a) : a;  // in place where nobody else sees it
}

REWARD_TUNER_INLINE void Sketch::backward(const SketchTensor& root, SketchTensor cotangent) {
  backward({{root, std::move(cotangent)}});
}

REWARD_TUNER_INLINE void Sketch::backward(const std::vector<std::pair<SketchTensor, SketchTensor>>& roots) {
  const Recording off(*this, false);
  std::map<SketchNode*, std::vector<SketchTensor>> waiting;  // cotangents of the outputs
  const auto later = [](const std::shared_ptr<SketchNode>& a, const std::shared_ptr<SketchNode>& b) {
    return a->order != b->order ? a->order < b->order : a.get() < b.get();
  };
  std::vector<std::shared_ptr<SketchNode>> ready;  // a heap; every consumer of a tensor is recorded later than it
  const auto give = [&](const std::shared_ptr<SketchNode>& node, std::size_t output, SketchTensor cotangent) {
    auto [place, fresh] = waiting.try_emplace(node.get(), node->outputs);
    place->second[output] = sum(std::move(place->second[output]), std::move(cotangent));
    if (!fresh) return;
    ready.push_back(node);
    std::push_heap(ready.begin(), ready.end(), later);
  };
  for (const auto& [root, cotangent] : roots)
    if (root.node_) give(root.node_, root.output_, cotangent.detach());
  while (!ready.empty()) {
    std::pop_heap(ready.begin(), ready.end(), later);
    const std::shared_ptr<SketchNode> node = std::move(ready.back());
    ready.pop_back();
    auto found = waiting.extract(node.get());
    std::vector<SketchTensor> given = node->backward(std::move(found.mapped()));
    node->saved.clear();
    if (!node->inputs.empty()) node->backward = nullptr;
    for (std::size_t i = 0; i < given.size() && i < node->inputs.size(); ++i)
      if (node->inputs[i].first && given[i].defined())
        give(node->inputs[i].first, node->inputs[i].second, std::exchange(given[i], {}));
  }
}

}  // namespace reward_tuner
