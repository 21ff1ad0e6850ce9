// Reads safetensors files by memory mapping and writes them atomically: the one file format for weights, adapters and
// checkpoints.
#pragma once
#include <bit>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/files/safetensors_header.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian and are mapped as they are");

namespace detail {

inline constexpr std::pair<std::string_view, at::ScalarType> kSafetensorsTypes[] = {
    {"BOOL", at::kBool},
    {"U8", at::kByte},
    {"I8", at::kChar},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E8M0", at::kFloat8_e8m0fnu},
    {"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    {"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    {"I16", at::kShort},
    {"U16", at::kUInt16},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"I32", at::kInt},
    {"U32", at::kUInt32},
    {"F32", at::kFloat},
    {"C64", at::kComplexFloat},
    {"F64", at::kDouble},
    {"I64", at::kLong},
    {"U64", at::kUInt64}};

class FileMapping;

}  // namespace detail

/// An open safetensors file. Cheap to copy; tensors keep the mapping alive after the file object is gone.
/// The file must not be truncated by another process while it is mapped (replacing it by rename is fine).
class SafetensorsFile {
 public:
  /// Maps the file and checks its whole header. Errors: anything the format forbids, by name.
  static SafetensorsFile open(const std::filesystem::path& path);

  bool contains(const std::string& name) const { return contents_->entries.count(name) != 0; }

  /// The tensor called `name` on the CPU, a view of the mapped file (a copy where the file misaligns it, or for
  /// booleans). Views of one file share their bytes: clone before writing in place.
  Tensor tensor(const std::string& name) const;

  /// Reads the tensor's bytes into memory of its size. The mapping stays untouched, so that what is copied anyway is in
  /// memory once. Errors: a file that became shorter, a disk that fails.
  void read(const std::string& name, void* into) const;

  /// Shape and dtype without touching the data.
  const std::vector<std::int64_t>& shape(const std::string& name) const { return find(name).shape; }
  at::ScalarType dtype(const std::string& name) const { return scalar_type(find(name)); }

  /// All names, sorted.
  std::vector<std::string> names() const;
  const std::map<std::string, std::string>& metadata() const { return contents_->metadata; }
  /// The path it was opened with, for messages.
  const std::string& path() const { return contents_->path; }

 private:
  struct Contents {
    std::string path;
    std::shared_ptr<detail::FileMapping> mapping;
    std::uint64_t data_begin = 0;
    std::map<std::string, SafetensorsEntry> entries;
    std::map<std::string, std::string> metadata;
  };
  explicit SafetensorsFile(std::shared_ptr<const Contents> contents) : contents_(std::move(contents)) {}
  const SafetensorsEntry& find(const std::string& name) const;
  static at::ScalarType scalar_type(const SafetensorsEntry& entry);

  std::shared_ptr<const Contents> contents_;
};

/// Writes the tensors (any device, layout or strides; saved contiguously) as one safetensors file, atomically and
/// without holding the whole file in memory. The order is the reference implementation's: wide dtypes first, which
/// keeps every tensor aligned, then by name.
/// Errors: undefined or sparse tensors, dtypes the format lacks, names that are not UTF-8, full disk; the old file then
/// stays.
void save_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/safetensors.ipp>
#endif
