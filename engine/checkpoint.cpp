#include "engine/checkpoint.h"

#include <cmath>
#include <cstring>
#include <set>

#include "engine/safetensors.h"

namespace stopgrad {

namespace {

struct Sizes {
  int64_t out, pixels, in;  // memory [out, pixels, in] <-> disk [out, in, pixels]
};

/// A linear weight is the same transposition with one "out": memory [1, in, out] <-> disk [1, out, in].
Sizes sizes_of(const Shape& s, DiskLayout layout) {
  if (layout == DiskLayout::conv) return {s[0], s[1] * s[2], s[3]};
  return {1, s[0], s[1]};
}

std::vector<int64_t> disk_shape(const Shape& s, DiskLayout layout) {
  if (layout == DiskLayout::conv) return {s[0], s[3], s[1], s[2]};
  if (layout == DiskLayout::linear) return {s[1], s[0]};
  std::vector<int64_t> out;
  for (int i = 0; i < s.rank(); ++i) out.push_back(s[i]);
  return out;
}

template <class T>
void to_disk(const T* memory, T* disk, const Shape& s, DiskLayout layout) {
  if (layout == DiskLayout::plain)
    return void(std::memcpy(disk, memory, static_cast<size_t>(s.count()) * sizeof(T)));
  const auto [out, pixels, in] = sizes_of(s, layout);
  for (int64_t o = 0; o < out; ++o)
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t i = 0; i < in; ++i) disk[(o * in + i) * pixels + p] = memory[(o * pixels + p) * in + i];
}

template <class T>
void from_disk(const T* disk, T* memory, const Shape& s, DiskLayout layout) {
  if (layout == DiskLayout::plain)
    return void(std::memcpy(memory, disk, static_cast<size_t>(s.count()) * sizeof(T)));
  const auto [out, pixels, in] = sizes_of(s, layout);
  for (int64_t o = 0; o < out; ++o)
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t i = 0; i < in; ++i) memory[(o * pixels + p) * in + i] = disk[(o * in + i) * pixels + p];
}

/// Everything of a slab that goes to disk, under its name there.
struct Item {
  std::string name;
  Tensor tensor;
  DiskLayout layout = DiskLayout::plain;
};

const char* disk_dtype(DType type) { return type == DType::f64 ? "F64" : "F32"; }

template <class F>
void visit_sums(DType type, F&& f) {  // the types that slabs hold
  if (type == DType::f64) f(double{});
  else f(float{});
}

void add_item(SafetensorsWriter& writer, const Item& item) {
  visit_sums(item.tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    writer.add(item.name, disk_dtype(item.tensor.dtype()), disk_shape(item.tensor.shape(), item.layout),
               [item](std::span<std::byte> to) {
                 const std::vector<T> memory = item.tensor.to_vector<T>();
                 std::vector<T> disk(memory.size());
                 to_disk(memory.data(), disk.data(), item.tensor.shape(), item.layout);
                 std::memcpy(to.data(), disk.data(), to.size());
               });
  });
}

void add_counter(SafetensorsWriter& writer, const std::string& name, int64_t value) {
  writer.add(name, "I64", {},
             [value](std::span<std::byte> to) { std::memcpy(to.data(), &value, sizeof value); });
}

std::vector<Item> items_of(const ParameterSlab& slab, bool momenta) {
  std::vector<Item> out;
  for (const Parameter* p : slab.parameters()) out.push_back({p->name, p->value, p->layout});
  for (const Buffer* b : slab.buffers()) out.push_back({b->name, b->value});
  if (momenta)
    for (const Parameter* p : slab.parameters())
      out.push_back({kMomentumPrefix + p->name, p->momentum, p->layout});
  return out;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

/// Compares what the slab wants with what the file has; collects every difference before it complains.
void check_match(const std::string& path, const SafetensorsFile& file, const std::vector<Item>& items,
                 const ParameterSlab& slab, bool momenta) {
  std::set<std::string> known;
  std::vector<std::string> faults;
  auto expect = [&](const std::string& name, const char* dtype, const std::vector<int64_t>& shape) {
    known.insert(name);
    const TensorInfo* found = file.find(name);
    if (!found) faults.push_back("missing " + name);
    else if (found->dtype != dtype || found->shape != shape)
      faults.push_back(fmt::format("{} is {} {}, not {} {}", name, found->dtype, shape_text(found->shape),
                                   dtype, shape_text(shape)));
  };
  for (const Item& item : items)
    expect(item.name, disk_dtype(item.tensor.dtype()), disk_shape(item.tensor.shape(), item.layout));
  for (const auto& [name, value] : slab.counters()) expect(name, "I64", {});
  for (const TensorInfo& t : file.tensors())
    if (!known.contains(t.name) && (momenta || !t.name.starts_with(kMomentumPrefix)))
      faults.push_back("unexpected " + quoted_ascii(t.name));
  if (faults.empty()) return;
  const size_t shown = std::min<size_t>(faults.size(), 10);
  fail(Exit::checkpoint, "{} does not fit this network: {}{}. Was it made by another recipe?", path,
       fmt::join(faults.begin(), faults.begin() + static_cast<std::ptrdiff_t>(shown), "; "),
       faults.size() > shown ? fmt::format("; and {} more", faults.size() - shown) : "");
}

void check_finite(const std::string& path, const SafetensorsFile& file, const std::vector<Item>& items) {
  for (const Item& item : items)
    visit_sums(item.tensor.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const auto bytes = file.bytes(*file.find(item.name));
      for (size_t i = 0; i < bytes.size(); i += sizeof(T)) {
        T value;
        std::memcpy(&value, bytes.data() + i, sizeof value);
        if (!std::isfinite(value))
          fail(Exit::checkpoint, "{}: {} holds a value that is not finite; take an older checkpoint", path,
               item.name);
      }
    });
}

void read_item(const SafetensorsFile& file, const Item& item) {
  visit_sums(item.tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> disk(static_cast<size_t>(item.tensor.count())), memory(disk.size());
    std::memcpy(disk.data(), file.bytes(*file.find(item.name)).data(), disk.size() * sizeof(T));
    from_disk(disk.data(), memory.data(), item.tensor.shape(), item.layout);
    Tensor to = item.tensor;
    to.from_host(memory.data());
  });
}

}  // namespace

void save_checkpoint(const std::string& path, const ParameterSlab& slab, const Metadata& metadata) {
  SafetensorsWriter writer;
  for (const auto& [key, value] : metadata) writer.metadata(key, value);
  for (const Item& item : items_of(slab, true)) add_item(writer, item);
  for (const auto& [name, value] : slab.counters()) add_counter(writer, name, *value);
  writer.write(path);
}

Metadata load_checkpoint(const std::string& path, ParameterSlab& slab, bool momenta) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const std::vector<Item> items = items_of(slab, momenta);
  check_match(path, file, items, slab, momenta);
  if (momenta) check_finite(path, file, items);
  for (const Item& item : items) read_item(file, item);
  for (const auto& [name, value] : slab.counters())
    std::memcpy(value, file.bytes(*file.find(name)).data(), sizeof *value);
  slab.refresh_compute();
  return file.metadata();
}

void export_weights(const std::string& path, const ParameterSlab::Visit& visit, const Metadata& metadata) {
  SafetensorsWriter writer;
  for (const auto& [key, value] : metadata) writer.metadata(key, value);
  Visitor v;
  v.parameter = [&](const std::string& name, Parameter& p) { add_item(writer, {name, p.value, p.layout}); };
  v.buffer = [&](const std::string& name, Buffer& b) { add_item(writer, {name, b.value}); };
  v.counter = [&](const std::string& name, int64_t& n) { add_counter(writer, name, n); };
  visit(v);
  writer.write(path);
}

}  // namespace stopgrad
