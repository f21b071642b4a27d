#include <gtest/gtest.h>

#include <functional>

#include "exchange/archive.h"
#include "io/temporary.h"
#include "oracle.h"
#include "refuses.h"
#include "tapegrad/exchange/exchange.h"

// The files are those of fixtures/pytorch_files.py, written by PyTorch 1.13.

namespace tapegrad::testing {
namespace {

std::string pytorch_file(const std::string& name) {
  return fixture("pytorch/" + name);
}

const Tensor& at(const State& state, const std::string& name) {
  const Tensor* found = state.find(name);
  if (found == nullptr) throw std::runtime_error("no tensor " + name);
  return *found;
}

TEST(ReadPyTorch, DtypesAndStrides) {
  const State state = read_pytorch(pytorch_file("dtypes.pt"));
  EXPECT_TRUE(equal(at(state, "float64"), tensor({{0.1, -2.0}}, DType::Float64)));
  EXPECT_TRUE(equal(at(state, "float16"), tensor({0.0999755859375, -2})));
  EXPECT_TRUE(equal(at(state, "bfloat16"), tensor({0.10009765625, -2})));
  EXPECT_TRUE(equal(at(state, "int64"), tensor({-3, 2147483647}, DType::Int32)));
  for (const char* name : {"int32", "int16", "int8"})
    EXPECT_TRUE(equal(at(state, name), tensor({-3, 4}, DType::Int32))) << name;
  EXPECT_TRUE(equal(at(state, "uint8"), tensor({3, 255}, DType::UInt8)));
  EXPECT_TRUE(equal(at(state, "bool"), tensor({1, 0}, DType::UInt8)));
  const Tensor base = arange(24);
  EXPECT_TRUE(equal(at(state, "transposed"), transpose(reshape(base, {4, 6}))));
  EXPECT_TRUE(equal(at(state, "slice"), tensor({{16, 18}, {20, 22}})));
  EXPECT_TRUE(equal(at(state, "permuted"), permute(reshape(base, {2, 3, 4}), {2, 0, 1})));
  EXPECT_TRUE(equal(at(state, "scalar"), tensor(7)));
  EXPECT_EQ(at(state, "empty").shape(), Shape({0, 3}));
  EXPECT_TRUE(equal(at(state, "parameter"), tensor({1, 2})));
  // One storage there, two here.
  Tensor tied = at(state, "tied");
  tied.mutable_data<float>()[0] = 9;
  EXPECT_TRUE(equal(at(state, "same"), tensor({1.5, -2.5})));
  EXPECT_EQ(state.tensors.size(), 17u);
  EXPECT_EQ(state.tensors[0].first, "float64");
}

TEST(ReadPyTorch, NestedDictsAndNumbers) {
  for (const char* name : {"nested.pt", "deflated.pt", "protocol4.pt"}) {
    SCOPED_TRACE(name);
    const State state = read_pytorch(pytorch_file(name));
    ASSERT_EQ(state.tensors.size(), 3u);
    EXPECT_TRUE(equal(at(state, "model.weight"), tensor({{1, 2}})));
    EXPECT_EQ(state.tensors[1].first, "model.bias");
    EXPECT_TRUE(equal(at(state, "list.0"), tensor({1})));
    const std::map<std::string, double> numbers = {
        {"epoch", 3},  {"loss", 0.25}, {"done", 1}, {"list.1.0", 4},  {"list.1.1", 0.5},
        {"size.0", 2}, {"size.1", 3},  {"7", -8},   {"ordered.a", 1}, {"long", -0x1p40}};
    EXPECT_EQ(state.numbers, numbers);
    EXPECT_EQ(state.integers, (std::map<std::string, std::uint64_t>{{"big", (std::uint64_t{1} << 63) + 5}}));
  }
  const State adam = read_pytorch(pytorch_file("adam.pt"));
  EXPECT_EQ(adam.number("test", "param_groups.0.lr"), 0.5);
  EXPECT_EQ(adam.number("test", "param_groups.0.betas.1"), 0.999);
  EXPECT_EQ(at(adam, "state.0.exp_avg").shape(), Shape({1, 2}));
}

TEST(ReadPyTorch, ATensorByItself) {
  const State state = read_pytorch(pytorch_file("tensor.pt"));
  ASSERT_EQ(state.tensors.size(), 1u);
  EXPECT_EQ(state.tensors[0].first, "");
  EXPECT_TRUE(equal(state.tensors[0].second, tensor({{1, 2}})));
}

TEST(ReadPyTorch, UnderAKey) {
  const State state = read_pytorch(pytorch_file("nested.pt"), {.under = "model"});
  ASSERT_EQ(state.tensors.size(), 2u);
  EXPECT_TRUE(equal(at(state, "weight"), tensor({{1, 2}})));
  EXPECT_TRUE(state.numbers.empty());
  EXPECT_EQ(read_pytorch(pytorch_file("nested.pt"), {.under = "list.1"}).numbers,
            (std::map<std::string, double>{{"0", 4}, {"1", 0.5}}));
  EXPECT_TRUE(refuses("read_pytorch", {"nested.pt", "nothing under 'mod'", "'model', 'epoch'"},
                      [] { read_pytorch(pytorch_file("nested.pt"), {.under = "mod"}); }));
}

TEST(ReadPyTorch, ReadWeightsKnowsTheFormat) {
  EXPECT_TRUE(equal(at(read_weights(pytorch_file("nested.pt")), "model.weight"), tensor({{1, 2}})));
  EXPECT_TRUE(refuses("read_pytorch", {"before 1.6"}, [] { read_weights(pytorch_file("old.pt")); }));
}

TEST(ReadPyTorch, WhatIsNotWeightsIsRefused) {
  const auto refused = [](const std::string& name, std::initializer_list<std::string_view> words) {
    return refuses("read_pytorch", words, [&] { read_pytorch(pytorch_file(name)); });
  };
  EXPECT_TRUE(refused("old.pt", {"old.pt", "before 1.6", "torch.save(torch.load('old.pt')"}));
  EXPECT_TRUE(
      refused("model.pt", {"'torch.nn.modules.linear.Linear'", "no code is run", "model.state_dict()"}));
  EXPECT_TRUE(refused("numpy.pt", {"'numpy.core.multiarray.scalar'", "float(x)", "at byte"}));
  EXPECT_TRUE(refused("expanded.pt", {"[1000]", "x.contiguous()"}));
  EXPECT_TRUE(refused("large.pt", {"2147483648", "Int32", "the tensor 'x'"}));
  EXPECT_TRUE(refused("complex.pt", {"'torch.ComplexFloatStorage'"}));
  EXPECT_TRUE(refused("sparse.pt", {"'torch._utils._rebuild_sparse_tensor'"}));
  EXPECT_TRUE(refused("jit.pt", {"torch.jit.save()", "state_dict()"}));
  EXPECT_TRUE(refused("missing.pt", {"cannot open"}));
  EXPECT_TRUE(refused("../numpy.npz", {"not of torch.save()"}));
  EXPECT_TRUE(refused("../gradient.jpg", {"is not a ZIP archive"}));
}

// ---- Hostile pickles

struct Hostile {
  const char* what;
  std::string pickle;
  std::vector<std::string_view> words;
};

std::string text(const std::string& value) {
  return "X" + little(value.size(), 4) + value;
}

// A storage of elements of four bytes, and a tensor of it, from pieces of a pickle.
std::string storage(const std::string& elements, const std::string& type = "FloatStorage",
                    const std::string& key = "0") {
  return "(" + text("storage") + "ctorch\n" + type + "\n" + text(key) + text("cpu") + elements + "tQ";
}

std::string tensor_of(const std::string& storage, const std::string& offset, const std::string& shape,
                      const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + "\x89)tR";
}

std::string dict(const std::string& key, const std::string& value) {
  return "\x80\x02}(" + text(key) + value + "u.";
}

const std::string kLarge = "\x8a\x08" + std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8);  // 2^63 - 1
const std::string kNegative = "J\xff\xff\xff\xff";
const std::string kTwo = "K\x02", kZero = std::string("K\0", 2), kOne = "K\x01";

std::vector<Hostile> hostile_pickles() {
  const std::string plain = storage(kTwo);
  std::string deep = "\x80\x02", bomb = "\x80\x02(]q" + std::string("\0", 1);
  for (int i = 0; i < 100; ++i) deep += "]";
  for (int i = 0; i < 99; ++i) deep += "a";
  for (char i = 1; i < 40; ++i)  // each list holds the one before it twice: 2^40 items
    bomb += std::string("]q") + i + "(h" + static_cast<char>(i - 1) + "h" + static_cast<char>(i - 1) + "e";
  return {
      {"nothing", "", {"cut off"}},
      {"no end", "\x80\x02}", {"cut off"}},
      {"protocol 0", "(dp0\n.", {"opcode 0x64"}},
      {"protocol 9", "\x80\x09}.", {"protocol 9"}},
      {"system()",
       "\x80\x02"
       "cos\nsystem\n(" +
           text("ls") + "tR.",
       {"'os.system'", "at byte 2", "no code is run"}},
      {"an object",
       "\x80\x02"
       "c__main__\nNet\n)\x81.",
       {"'__main__.Net'"}},
      {"a string of 4 GB", std::string("\x80\x02X\xff\xff\xff\xff", 7), {"4294967295 bytes"}},
      {"a string of 2^63", "\x80\x02\x8d" + little(std::uint64_t{1} << 63, 8), {"9223372036854775808 bytes"}},
      {"a number of 200 bytes", "\x80\x02\x8a\xc8" + std::string(200, '\1') + ".", {"64 bits do not hold"}},
      {"an empty stack", "\x80\x02.", {"takes a value where there is none"}},
      {"a list that never began", "\x80\x02t.", {"never began"}},
      {"two values", "\x80\x02NN.", {"ends before"}},
      {"an unknown memo", "\x80\x02h\x05.", {"the value 5"}},
      {"items of a number",
       "\x80\x02"
       "K\1K\1a.",
       {"adds items to what does not hold any"}},
      {"a key without a value", "\x80\x02}(" + text("a") + "u.", {"adds items"}},
      {"a value across a mark", "\x80\x02}(Na.", {"takes a value where there is none"}},
      {"a call of a number", "\x80\x02K\1)R.", {"not a function"}},
      {"many arguments",
       "\x80\x02"
       "ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNNNNtR.",
       {"too many arguments"}},
      {"a list in itself", std::string("\x80\x02]q\0h\0a.", 9), {"in itself"}},
      {"a deep list", deep + ".", {"nests more than 64"}},
      {"a bomb of lists", bomb + "t.", {"more values than a file of"}},
      {"a dict as a key", "\x80\x02}(}Nu.", {"neither a string nor a whole number"}},
      {"a storage alone", dict("x", plain), {"not a tensor's"}},
      {"a storage of 2^63",
       dict("x", tensor_of(storage(kLarge), kZero, kTwo + "\x85", kOne + "\x85")),
       {"9223372036854775807 elements", "'archive/data/0', which has 8 bytes"}},
      {"a storage that is short",
       dict("x", tensor_of(storage("K\x03"), kZero, kTwo + "\x85", kOne + "\x85")),
       {"3 elements", "8 bytes"}},
      {"a negative size",
       dict("x", tensor_of(plain, kZero, kNegative + "\x85", kOne + "\x85")),
       {"from 0 on"}},
      {"a negative offset",
       dict("x", tensor_of(plain, kNegative, kTwo + "\x85", kOne + "\x85")),
       {"from 0 on"}},
      {"a large offset",
       dict("x", tensor_of(plain, kLarge, kOne + "\x85", kOne + "\x85")),
       {"ends behind its storage of 2"}},
      {"a large stride",
       dict("x", tensor_of(plain, kZero, kTwo + "\x85", kLarge + "\x85")),
       {"ends behind its storage of 2"}},
      {"a large shape",
       dict("x", tensor_of(plain, kZero, kLarge + kLarge + "\x86", kOne + kOne + "\x86")),
       {"impossible shape"}},
      {"no stride", dict("x", tensor_of(plain, kZero, kTwo + "\x85", ")")), {"0 strides"}},
      {"a missing storage",
       dict("x", tensor_of(storage(kTwo, "FloatStorage", "7"), kZero, ")", ")")),
       {"archive/data/7"}},
      {"a storage of two types",
       "\x80\x02](" + tensor_of(plain, kZero, ")", ")") +
           tensor_of(storage(kTwo, "IntStorage"), kZero, ")", ")") + "e.",
       {"two things of the storage '0'"}},
      {"a storage of a number",
       dict("x", "ctorch._utils\n_rebuild_tensor_v2\n(N" + kZero + "))tR"),
       {"must"}},
      {"a parameter in a parameter",
       dict("x", "ctorch._utils\n_rebuild_parameter\n(ctorch._utils\n_rebuild_parameter\n(N\x89)tR\x89)tR"),
       {"not a tensor"}},
      {"one name twice", "\x80\x02}(" + text("a") + kOne + text("a") + kTwo + "u.", {"two values", "'a'"}},
      {"a class called", dict("x", "ctorch\nFloatStorage\n)R"), {"torch.FloatStorage"}},
  };
}

TEST(ReadPyTorch, HostilePicklesAreRefused) {
  const TemporaryFolder folder;
  const auto path = folder / "hostile.pt";
  // The same pieces make a file that is read.
  write_archive(
      path, {{"archive/data.pkl", dict("x", tensor_of(storage(kTwo), kZero, kTwo + "\x85", kOne + "\x85"))},
             {"archive/data/0", std::string("\0\0\x80\x3f\0\0\0\x40", 8)}});
  EXPECT_TRUE(equal(at(read_pytorch(path), "x"), tensor({1, 2})));
  for (const auto& [what, pickle, words] : hostile_pickles()) {
    SCOPED_TRACE(what);
    write_archive(path, {{"archive/data.pkl", pickle}, {"archive/data/0", std::string(8, '\0')}});
    EXPECT_TRUE(refuses("read_pytorch", {"hostile.pt"}, [&] { read_pytorch(path); }));
    for (const std::string_view word : words)
      EXPECT_TRUE(refuses("read_pytorch", {word}, [&] { read_pytorch(path); }));
  }
}

// A megabyte that a few bytes name again and again is not copied as often.
TEST(ReadPyTorch, ViewsOfOneStorageAreCounted) {
  const TemporaryFolder folder;
  const auto path = folder / "views.pt";
  const auto views = [](int count) {
    std::string pickle = "\x80\x02]q" + std::string("\0", 1) + "(" +
                         tensor_of(storage(kTwo), kZero, kTwo + "\x85", kOne + "\x85") + "q\x01";
    for (int i = 1; i < count; ++i) pickle += "h\x01";
    return pickle + "e.";
  };
  write_archive(path, {{"a/data.pkl", views(16)}, {"a/data/0", std::string(8, '\0')}});
  EXPECT_EQ(read_pytorch(path).tensors.size(), 16u);
  write_archive(path, {{"a/data.pkl", views(17)}, {"a/data/0", std::string(8, '\0')}});
  EXPECT_TRUE(refuses("read_pytorch", {"34 elements", "storage of 2"}, [&] { read_pytorch(path); }));
}

TEST(ReadPyTorch, BigEndian) {
  const TemporaryFolder folder;
  const auto path = folder / "big.pt";
  write_archive(path,
                {{"a/data.pkl", dict("x", tensor_of(storage(kTwo), kZero, kTwo + "\x85", kOne + "\x85"))},
                 {"a/byteorder", "big"},
                 {"a/data/0", std::string("\x3f\x80\0\0\x40\0\0\0", 8)}});
  EXPECT_TRUE(equal(at(read_pytorch(path), "x"), tensor({1, 2})));
}

// Every byte of a file, changed or cut off: an Error or a state, and never more.
TEST(ReadPyTorch, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  const auto path = folder / "damaged.pt";
  const Bytes file = read_bytes(pytorch_file("nested.pt"));
  std::size_t refused = 0;
  const auto read = [&](const Bytes& bytes) {
    write_bytes(path, bytes);
    try {
      read_pytorch(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.op(), "read_pytorch");
      EXPECT_NE(error.message().find("damaged.pt"), std::string_view::npos) << error.what();
      ++refused;
    }
  };
  for (std::size_t length = 0; length < file.size(); length += 7)
    read(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length)));
  EXPECT_EQ(refused, (file.size() + 6) / 7);
  for (std::size_t i = 0; i < file.size(); i += 3) {
    Bytes changed = file;
    changed[i] ^= 0xff;
    read(changed);
  }
}

TEST(WritePyTorch, IsReadAgain) {
  const TemporaryFolder folder;
  State state{.tensors = {{"a.b", tensor({{1, 2, 3}, {4, 5, 6}})},
                          {"f64", tensor({0.1}, DType::Float64)},
                          {"i", tensor({-7, 2147483647}, DType::Int32)},
                          {"u", tensor(200, DType::UInt8)},
                          {"none", zeros({0, 2})}},
              .numbers = {{"lr", 0.1}, {"nan", std::nan("")}},
              .integers = {{"seed", ~std::uint64_t{0}}}};
  write_pytorch(folder / "state.pt", state);
  write_pytorch(folder / "again.pt", state);
  EXPECT_EQ(read_bytes(folder / "state.pt"), read_bytes(folder / "again.pt"));
  const State same = read_pytorch(folder / "state.pt");
  ASSERT_EQ(same.tensors.size(), state.tensors.size());
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    EXPECT_EQ(same.tensors[i].first, state.tensors[i].first);
    EXPECT_EQ(same.tensors[i].second.dtype(), state.tensors[i].second.dtype());
    EXPECT_TRUE(equal(same.tensors[i].second, state.tensors[i].second)) << state.tensors[i].first;
  }
  EXPECT_EQ(same.number("test", "lr"), 0.1);
  EXPECT_TRUE(std::isnan(same.number("test", "nan")));
  EXPECT_EQ(same.integers, state.integers);
}

TEST(WritePyTorch, Refuses) {
  const TemporaryFolder folder;
  const auto write = [&](const State& state) { return [&] { write_pytorch(folder / "x.pt", state); }; };
  const State twice{.tensors = {{"a", tensor(1)}, {"a", tensor(2)}}};
  EXPECT_TRUE(refuses("write_pytorch", {"two values", "'a'"}, write(twice)));
  const State undefined{.tensors = {{"a", Tensor()}}};
  EXPECT_TRUE(refuses("write_pytorch", {"'a' is not defined"}, write(undefined)));
  const State bytes{.tensors = {{"\xff", tensor(1)}}};
  EXPECT_TRUE(refuses("write_pytorch", {"UTF-8"}, write(bytes)));
  EXPECT_TRUE(refuses("write_pytorch", {"nowhere"}, [&] { write_pytorch(folder / "nowhere/x.pt", {}); }));
  EXPECT_EQ(folder.entries(), 0u);
}

}  // namespace
}  // namespace tapegrad::testing
