// Definitions of safetensors.hpp.
#pragma once
#include <reward_tuner/files/safetensors.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>

namespace reward_tuner {

namespace detail {

/// A whole file in memory, copy-on-write: the file itself never changes, and an in-place operation on a view does not
/// crash.
class FileMapping {
 public:
  explicit FileMapping(const std::filesystem::path& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    REWARD_TUNER_CHECK(file_.is_open(), "[Safetensors] could not open '", path.string(),
                       "': ", std::generic_category().message(errno));
    struct ::stat status {};
    REWARD_TUNER_CHECK(::fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode),
                       "[Safetensors] expected a regular file, got '", path.string(), "'");
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) return;  // mmap refuses empty files; the header check then reports the size
    void* data = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file_.get(), 0);
    REWARD_TUNER_CHECK(data != MAP_FAILED, "[Safetensors] could not map '", path.string(),
                       "': ", std::generic_category().message(errno));
    data_ = static_cast<char*>(data);
  }
  ~FileMapping() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;
  std::string_view bytes() const { return {data_, size_}; }
  char* at(std::uint64_t offset) const { return data_ + offset; }
  /// Reads `count` bytes from the file itself; the number that there were, and why not all: 0 where the file ends.
  std::pair<std::uint64_t, int> read(std::uint64_t offset, void* into, std::uint64_t count) const {
    std::uint64_t done = 0;
    while (done < count) {
      const ::ssize_t got =
          ::pread(file_.get(), static_cast<char*>(into) + done, count - done, static_cast<::off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return {done, got < 0 ? errno : 0};
      done += static_cast<std::uint64_t>(got);
    }
    return {done, 0};
  }

 private:
  FileDescriptor file_;
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace detail

REWARD_TUNER_INLINE SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto contents = std::make_shared<Contents>();
  contents->path = path.string();
  contents->mapping = std::make_shared<detail::FileMapping>(path);
  auto header = SafetensorsHeader::parse(contents->mapping->bytes(), "'" + contents->path + "'");
  contents->data_begin = header.data_begin;
  contents->metadata = std::move(header.metadata);
  for (auto& entry : header.entries) {
    std::string name = entry.name;
    contents->entries.emplace(std::move(name), std::move(entry));
  }
  return SafetensorsFile(std::move(contents));
}

REWARD_TUNER_INLINE Tensor SafetensorsFile::tensor(const std::string& name) const {
  const SafetensorsEntry& entry = find(name);
  const at::ScalarType type = scalar_type(entry);
  const auto bytes = static_cast<std::size_t>(entry.end - entry.begin);
  if (bytes == 0) return at::empty(entry.shape, type);
  char* data = contents_->mapping->at(contents_->data_begin + entry.begin);
  // a byte of 2 is no valid bool in C++
  if (type == at::kBool) return at::from_blob(data, entry.shape, at::kByte).ne(0);
  if (reinterpret_cast<std::uintptr_t>(data) % c10::elementSize(type) != 0) {
    Tensor copy = at::empty(entry.shape, type);
    std::memcpy(copy.data_ptr(), data, bytes);
    return copy;
  }
  return at::from_blob(data, entry.shape, [keep = contents_->mapping](void*) {}, type);
}

REWARD_TUNER_INLINE void SafetensorsFile::read(const std::string& name, void* into) const {
  const SafetensorsEntry& entry = find(name);
  const std::uint64_t wanted = entry.end - entry.begin;
  const auto [got, failed] = contents_->mapping->read(contents_->data_begin + entry.begin, into, wanted);
  REWARD_TUNER_CHECK(got == wanted, "[Safetensors] '", path(), "': expected ", wanted, " bytes of tensor ",
                     detail::shortened(name), ", got ", got, ": ",
                     failed == 0 ? "the file changed" : std::generic_category().message(failed));
}

REWARD_TUNER_INLINE std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> all;
  for (const auto& [name, entry] : contents_->entries) all.push_back(name);
  return all;
}

REWARD_TUNER_INLINE const SafetensorsEntry& SafetensorsFile::find(const std::string& name) const {
  const auto& entries = contents_->entries;
  const auto found = entries.find(name);
  REWARD_TUNER_CHECK(found != entries.end(), "[Safetensors] '", path(), "' has no tensor ", detail::shortened(name),
                     " among its ", entries.size());
  return found->second;
}

REWARD_TUNER_INLINE at::ScalarType SafetensorsFile::scalar_type(const SafetensorsEntry& entry) {
  for (const auto& [name, type] : detail::kSafetensorsTypes)
    if (name == entry.dtype) return type;
  detail::fail("[Safetensors] unknown dtype ", entry.dtype);
}

REWARD_TUNER_INLINE void save_safetensors(const std::filesystem::path& path,
                                          const std::map<std::string, Tensor>& tensors,
                                          const std::map<std::string, std::string>& metadata) {
  struct Item {
    const std::string* name;
    const Tensor* tensor;
    const SafetensorsDtype* dtype;
  };
  std::vector<Item> items;
  for (const auto& [name, tensor] : tensors) {
    REWARD_TUNER_CHECK(name != "__metadata__", "[Safetensors] a tensor cannot be called __metadata__");
    REWARD_TUNER_CHECK(tensor.defined() && tensor.layout() == at::kStrided, "[Safetensors] tensor ",
                       detail::shortened(name), " is undefined or not strided");
    const SafetensorsDtype* dtype = nullptr;
    for (const auto& [dtype_name, type] : detail::kSafetensorsTypes)
      if (type == tensor.scalar_type()) dtype = find_safetensors_dtype(dtype_name);
    REWARD_TUNER_CHECK(dtype != nullptr, "[Safetensors] tensor ", detail::shortened(name), " has the dtype ",
                       c10::toString(tensor.scalar_type()), ", which the format lacks");
    items.push_back({&name, &tensor, dtype});
  }
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.dtype->rank > b.dtype->rank; });

  std::string header = "{";
  try {
    if (!metadata.empty()) header += "\"__metadata__\":" + nlohmann::json(metadata).dump();
    std::uint64_t offset = 0;
    for (const auto& item : items) {
      const std::uint64_t end = offset + static_cast<std::uint64_t>(item.tensor->numel()) * item.dtype->bytes;
      if (header.size() > 1) header += ',';
      header += nlohmann::json(*item.name).dump() + ":{\"dtype\":\"" + std::string(item.dtype->name) +
                "\",\"shape\":" + nlohmann::json(item.tensor->sizes().vec()).dump() + ",\"data_offsets\":[" +
                std::to_string(offset) + "," + std::to_string(end) + "]}";
      offset = end;
    }
  } catch (const nlohmann::json::exception&) {
    detail::fail("[Safetensors] could not write '", path.string(), "': names and metadata must be valid UTF-8");
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  REWARD_TUNER_CHECK(header.size() <= SafetensorsHeader::kMaxHeaderBytes, "[Safetensors] the header of '",
                     path.string(), "' would take ", header.size(), " bytes, the format allows ",
                     SafetensorsHeader::kMaxHeaderBytes);

  write_file_atomically(path, [&](FileSink& sink) {
    const std::uint64_t length = header.size();
    sink.write(&length, sizeof length);
    sink.write(header);
    for (const auto& item : items) {
      const Tensor plain = item.tensor->detach().resolve_conj().resolve_neg().to(at::kCPU).contiguous();
      sink.write(plain.const_data_ptr(), plain.nbytes());
    }
  });
}

}  // namespace reward_tuner
