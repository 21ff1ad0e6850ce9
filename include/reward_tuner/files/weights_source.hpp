// Where a network's weights come from: the tensors of one part by name, whatever files hold them and under what names.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Tensors by name: all of a safetensors file, those of several files, or some of a larger file under other names.
/// Nothing is read before `tensor`. Copies share the mapped files.
/// Example: `WeightsSource text("sd15.safetensors: text encoder"); text.add("final_layer_norm.weight", file, key);`
class WeightsSource {
 public:
  /// What a stored tensor becomes: a transposition, a part, another shape. Also asked with a tensor on the meta device,
  /// for the shape.
  using View = std::function<Tensor(const Tensor&)>;

  /// None yet; `where` names the source in errors.
  explicit WeightsSource(std::string where) : where_(std::move(where)) {}
  /// Every tensor of the file under its own name.
  WeightsSource(const SafetensorsFile& file);  // NOLINT(google-explicit-constructor): a file is a source

  /// Adds every tensor of the file under its own name. Errors: a name that is there already.
  void add(const SafetensorsFile& file);
  /// Adds the tensor that `file` holds under `key`. Errors: no such key, a name that is there already.
  void add(const std::string& name, const SafetensorsFile& file, const std::string& key, View view = {});

  /// All names, sorted.
  std::vector<std::string> names() const;
  /// Shape and dtype without touching the data.
  const std::vector<std::int64_t>& shape(const std::string& name) const { return find(name).shape; }
  at::ScalarType dtype(const std::string& name) const { return find(name).dtype; }
  /// The tensor on the CPU, as SafetensorsFile::tensor gives it: a view of the mapped file wherever possible.
  Tensor tensor(const std::string& name) const;
  /// Whether `copy` reads from the file into the target's memory: one type, contiguous, on the CPU, as it is stored.
  bool is_straight(const std::string& name, const Tensor& target) const;
  /// Copies the tensor into `target`, which has its shape, rounded to the target's type.
  void copy(const std::string& name, const Tensor& target) const;
  /// Names the source in errors.
  const std::string& where() const { return where_; }

 private:
  struct Entry {
    SafetensorsFile file;
    std::string key;
    View view;
    std::vector<std::int64_t> shape;
    at::ScalarType dtype;
  };
  const Entry& find(const std::string& name) const;

  std::string where_;
  std::map<std::string, Entry> entries_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/weights_source.ipp>
#endif
