#include "engine/safetensors.h"

#include <algorithm>

#include <catch2/catch.hpp>
#include "tests/faulty_files.h"

using namespace stopgrad;
using Catch::Contains;

namespace {

const std::string golden = STOPGRAD_SOURCE_DIR "/tests/golden/reference.safetensors";

// Bytes that count up from `first`, as make_reference.py fills every tensor.
std::vector<std::byte> counted(size_t count, int first = 0) {
  std::vector<std::byte> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return out;
}

// 200 tensors of one float each: a file with many writes.
void save_many(const std::string& path, int first, FileCalls& calls = real_files()) {
  const std::vector<std::byte> data = counted(4, first);
  SafetensorsWriter writer;
  for (int i = 0; i < 200; ++i) writer.add("layer" + std::to_string(i), "F32", {1}, data);
  writer.metadata("step", std::to_string(first));
  writer.write(path, calls);
}

}  // namespace

TEST_CASE("the writer makes the bytes of the reference implementation", "[safetensors]") {
  TempDir dir;
  const std::vector<std::byte> data = counted(24);
  const auto first = [&](size_t bytes) { return std::span(data).first(bytes); };
  SafetensorsWriter writer;
  writer.add("mask", "BOOL", {1}, first(1));
  writer.add("half", "BF16", {3}, first(6));
  writer.add("quote \" slash \\ / tab \t one \x01 \x7f \xc3\xa9 \xf0\x9f\x98\x80", "U8", {1}, first(1));
  writer.add("conv1.weight", "F32", {2, 3}, first(24));
  writer.add("bytes", "U8", {5}, first(5));
  writer.add("nothing", "F32", {0, 3}, first(0));
  writer.add("bn1.bias", "F32", {2}, first(8));
  writer.add("d", "F64", {1}, first(8));
  writer.add("bn1.num_batches_tracked", "I64", {}, first(8));
  writer.metadata("format", "pt");
  writer.write(dir / "x");
  REQUIRE(slurp(golden).size() == 701);
  CHECK(slurp(dir / "x") == slurp(golden));
}

TEST_CASE("a file of the reference implementation is read", "[safetensors]") {
  const SafetensorsFile file = SafetensorsFile::open(golden);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(file.tensors().size() == 9);
  const TensorInfo* conv = file.find("conv1.weight");
  REQUIRE(conv != nullptr);
  CHECK(conv->dtype == "F32");
  CHECK(conv->shape == std::vector<int64_t>{2, 3});
  CHECK(std::ranges::equal(file.bytes(*conv), counted(24)));
  CHECK(file.find("bn1.num_batches_tracked")->shape.empty());
  CHECK(file.bytes(*file.find("nothing")).empty());
  CHECK(file.find("conv1") == nullptr);
  CHECK(file.find("__metadata__") == nullptr);
}

TEST_CASE("what was written is read back, also after the file object has moved", "[safetensors]") {
  TempDir dir;
  save_many(dir / "x", 7);
  SafetensorsFile opened = SafetensorsFile::open(dir / "x");
  const SafetensorsFile file = std::move(opened);
  CHECK(file.metadata().at("step") == "7");
  REQUIRE(file.tensors().size() == 200);
  CHECK(file.tensors()[1].name == "layer1");
  CHECK(file.tensors()[2].name == "layer10");
  for (const TensorInfo& tensor : file.tensors()) {
    CHECK(file.find(tensor.name) == &tensor);
    CHECK(std::ranges::equal(file.bytes(tensor), counted(4, 7)));
  }
  CHECK(read_header(dir / "x").tensors.size() == 200);
}

TEST_CASE("a file without tensors and one with several metadata keys have one form each", "[safetensors]") {
  TempDir dir;
  SafetensorsWriter writer;
  writer.write(dir / "x");
  CHECK(slurp(dir / "x") == std::string("\x8\0\0\0\0\0\0\0{}      ", 16));
  writer.metadata("b", "2");
  writer.metadata("a", "\"");
  writer.write(dir / "x");
  CHECK(slurp(dir / "x").substr(8) == R"({"__metadata__":{"a":"\"","b":"2"}}     )");
}

TEST_CASE("a tensor may be filled while it is written", "[safetensors]") {
  TempDir dir;
  const std::vector<std::byte> data = counted(24);
  SafetensorsWriter filled, given;
  std::vector<size_t> sizes;
  const auto fill = [&](std::span<std::byte> memory) {
    sizes.push_back(memory.size());
    std::ranges::copy(std::span(data).first(memory.size()), memory.begin());
  };
  filled.add("small", "F32", {2}, fill);
  filled.add("large", "F32", {6}, fill);
  filled.add("given", "U8", {3}, std::span(data).first(3));
  given.add("small", "F32", {2}, std::span(data).first(8));
  given.add("large", "F32", {6}, data);
  given.add("given", "U8", {3}, std::span(data).first(3));
  CHECK(sizes.empty());
  filled.write(dir / "filled");
  given.write(dir / "given");
  CHECK(sizes == std::vector<size_t>{24, 8});
  CHECK(slurp(dir / "filled") == slurp(dir / "given"));
}

TEST_CASE("a fill that throws leaves the old file", "[safetensors]") {
  TempDir dir;
  save_many(dir / "x", 1);
  const std::string before = slurp(dir / "x");
  SafetensorsWriter writer;
  writer.add("a", "F32", {1}, [](std::span<std::byte>) { fail(Exit::device, "copy failed"); });
  CHECK(refusal(Exit::device, [&] { writer.write(dir / "x"); }) == "copy failed");
  CHECK(slurp(dir / "x") == before);
  CHECK(dir.names() == std::vector<std::string>{"x"});
}

TEST_CASE("tensors of a foreign file may lie at odd addresses", "[safetensors]") {
  TempDir dir;
  const std::string header = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("w":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  spit(dir / "x", std::string{static_cast<char>(header.size()), 0, 0, 0, 0, 0, 0, 0} + header + "\1abcd");
  const SafetensorsFile file = SafetensorsFile::open(dir / "x");
  CHECK(std::ranges::equal(file.bytes(*file.find("w")), counted(4, 'a')));
}

TEST_CASE("bytes are handed out only for tensors that lie in the file", "[safetensors]") {
  const SafetensorsFile file = SafetensorsFile::open(golden);
  TensorInfo other = *file.find("bn1.bias");
  other.end = 1000;
  CHECK_THAT(refusal(Exit::failed, [&] { file.bytes(other); }), Contains("pass a tensor of this file"));
  other.begin = 2000;
  CHECK_THAT(refusal(Exit::failed, [&] { file.bytes(other); }), Contains("pass a tensor of this file"));
}

TEST_CASE("a missing weight file is a refused checkpoint", "[safetensors]") {
  TempDir dir;
  CHECK_THAT(refusal(Exit::checkpoint, [&] { SafetensorsFile::open(dir / "none"); }),
             Contains(dir / "none") && Contains("No such file"));
  CHECK_THAT(refusal(Exit::checkpoint, [&] { read_header(dir.path); }), Contains("not a regular file"));
}

TEST_CASE("the writer does not take a tensor that is not what it says", "[safetensors]") {
  const std::vector<std::byte> data = counted(8);
  SafetensorsWriter writer;
  const auto add = [&](const std::string& dtype, const std::vector<int64_t>& shape) {
    return refusal(Exit::failed, [&] { writer.add("w", dtype, shape, data); });
  };
  CHECK_THAT(add("F32", {3}), Contains("F32 [3] is 12 bytes, but 8 are given"));
  CHECK_THAT(add("float32", {2}), Contains("has no size"));
  CHECK_THAT(add("F32", {-2}), Contains("has no size"));
  CHECK_THAT(add("F32", {int64_t{1} << 62}), Contains("has no size"));
  CHECK_THAT(refusal(Exit::failed, [&] { writer.add("w", "F32", {2}, SafetensorsWriter::Fill()); }),
             Contains("give a function"));
  writer.metadata("k", "v");
  CHECK_THAT(refusal(Exit::failed, [&] { writer.metadata("k", "w"); }), Contains("\"k\" given twice"));
  CHECK(add("F32", {2}) == "");
}

TEST_CASE("the writer writes nothing that the reader would refuse", "[safetensors]") {
  TempDir dir;
  const std::vector<std::byte> data = counted(4);
  const auto written = [&](const std::vector<std::string>& names, const std::vector<int64_t>& shape) {
    SafetensorsWriter writer;
    for (const std::string& name : names) writer.add(name, "F32", shape, data);
    return refusal(Exit::failed, [&] { writer.write(dir / "x"); });
  };
  CHECK_THAT(written({"w", "v", "w"}, {1}), Contains("not written") && Contains("\"w\" appears twice"));
  CHECK_THAT(written({std::string(513, 'n')}, {1}), Contains("longer than 512 bytes"));
  CHECK_THAT(written({std::string("a\0b", 3)}, {1}), Contains("contains a NUL"));
  CHECK_THAT(written({"\xff"}, {1}), Contains("not JSON"));
  CHECK_THAT(written({"__metadata__"}, {1}), Contains("__metadata__"));
  CHECK_THAT(written({"w"}, std::vector<int64_t>(9, 1)), Contains("more than 8 dimensions"));
  CHECK(dir.names().empty());
}

TEST_CASE("a disk that fills up while weights are saved keeps the last good ones", "[safetensors]") {
  TempDir dir;
  save_many(dir / "x", 1);
  const std::string before = slurp(dir / "x");
  for (const uint64_t room : {uint64_t{0}, uint64_t{5}, uint64_t{before.size() - 1}}) {
    FaultyFiles calls;
    calls.room = room;
    const std::string message = refusal(Exit::write, [&] { save_many(dir / "x", 2, calls); });
    CHECK_THAT(message, Contains("failed at byte " + std::to_string(room)) &&
                            Contains("No space left on device") &&
                            Contains("what was there before is as it was"));
    CHECK(slurp(dir / "x") == before);
    CHECK(dir.names() == std::vector<std::string>{"x"});
  }
}

TEST_CASE("killed or failing at any of its calls, a save leaves the old weights or the new ones",
          "[safetensors]") {
  const auto style = GENERATE(FaultyFiles::die, FaultyFiles::once, FaultyFiles::from_there_on);
  TempDir dir;
  save_many(dir / "x", 1);
  const std::string before = slurp(dir / "x");
  save_many(dir / "x", 2);
  const std::string after = slurp(dir / "x");
  FaultyFiles calls;
  calls.style = style;
  bool clean = false;
  int kept = 0, replaced = 0;
  for (calls.at = 1; !clean; ++calls.at) {
    for (const std::string& name : dir.names()) std::filesystem::remove(dir / name);
    spit(dir / "x", before);
    calls.count = 0;
    if (style == FaultyFiles::die) {
      clean = !dies([&] { save_many(dir / "x", 2, calls); });
    } else {
      refusal(Exit::write, [&] { save_many(dir / "x", 2, calls); });
      clean = calls.count < calls.at;
    }
    const std::string found = slurp(dir / "x");
    if (found != before && found != after)
      FAIL("torn at call " << calls.at << ": " << found.size() << " bytes");
    ++(found == after ? replaced : kept);
  }
  CHECK(kept > 200);
  CHECK(replaced >= 4);  // three calls after the rename, and the clean run
  CHECK(slurp(dir / "x") == after);
  CHECK(SafetensorsFile::open(dir / "x").metadata().at("step") == "2");
}
