#include "tapegrad/mpi/communicator.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tapegrad/autograd/rules.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/mpi/world_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::World;

// What a State is but for the tensors' elements, as bytes.
class Writer {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> Writer& operator<<(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Writer& operator<<(const std::string& text) {
    *this << text.size();
    bytes += text;
    return *this;
  }
  std::string bytes;
};

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}
  template <class T>
  T number() {
    T value{};
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string text() {
    const auto size = number<std::size_t>();
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

 private:
  const std::string& bytes_;
  std::size_t at_ = 0;
};

std::string describe(const State& state) {
  Writer writer;
  writer << state.tensors.size();
  for (const auto& [name, x] : state.tensors) {
    writer << name << static_cast<int>(x.dtype()) << x.rank();
    for (const index_t size : x.shape()) writer << size;
  }
  writer << state.numbers.size();
  for (const auto& [name, value] : state.numbers) writer << name << value;
  writer << state.integers.size();
  for (const auto& [name, value] : state.integers) writer << name << value;
  return writer.bytes;
}

State described(const std::string& text) {
  Reader reader(text);
  State state;
  for (auto count = reader.number<std::size_t>(); count > 0; --count) {
    std::string name = reader.text();
    const auto dtype = static_cast<DType>(reader.number<int>());
    std::vector<index_t> sizes(static_cast<std::size_t>(reader.number<int>()));
    for (index_t& size : sizes) size = reader.number<index_t>();
    state.tensors.emplace_back(std::move(name), TensorAccess::empty(Shape(sizes), dtype));
  }
  for (auto count = reader.number<std::size_t>(); count > 0; --count) {
    std::string name = reader.text();
    state.numbers[std::move(name)] = reader.number<double>();
  }
  for (auto count = reader.number<std::size_t>(); count > 0; --count) {
    std::string name = reader.text();
    state.integers[std::move(name)] = reader.number<std::uint64_t>();
  }
  return state;
}

void broadcast_elements(World& world, const char* op, Tensor x) {
  const auto kept = std::make_shared<Tensor>(x);
  // What is only read is not written to: a tape would take that for a change.
  const auto read = detail::readable(x);
  const std::span<std::byte> bytes = world.process() == 0
                                         ? std::span(const_cast<std::byte*>(read.data()), read.size())
                                         : detail::writable(x);
  world.broadcast(op, bytes, 0, kept);
}

void broadcast_state(World& world, const char* op, State& state) {
  std::string text = world.process() == 0 ? describe(state) : "";
  world.broadcast(op, text);
  if (world.process() != 0) state = described(text);
  for (const auto& [name, x] : state.tensors) broadcast_elements(world, op, x);
}

template <class F>
std::exception_ptr failure_of(const F& f) {
  try {
    f();
  } catch (...) {
    return std::current_exception();
  }
  return {};
}

Tensor sum_in(World& world, const Tensor& x) {
  constexpr const char* kOp = "sum_over";
  if (!x.defined() || !is_floating(x.dtype())) fail(kOp, "x must be Float32 or Float64");
  if (detail::loop_depth() > 0)
    fail(kOp, "must not be called inside a parallel loop, such as that of batch_gradient()");
  world.meet(kOp, {{"the shape and dtype of x", detail::hash_of_shapes({&x, 1}), false}});
  Tensor sum = TensorAccess::empty(x.shape(), x.dtype(), kOp);
  const auto kept = std::make_shared<std::pair<Tensor, Tensor>>(x, sum);
  MPI_Request request;
  world.check(
      kOp,
      MPI_Iallreduce(TensorAccess::elements(x), TensorAccess::elements(sum), static_cast<int>(x.size()),
                     x.dtype() == DType::Float32 ? MPI_FLOAT : MPI_DOUBLE, MPI_SUM, world.comm(), &request));
  world.wait(kOp, {&request, 1}, kept);
  world.count_bytes(static_cast<double>(detail::readable(x).size()));
  return record(kOp, std::move(sum), {{x, [&world](const Tensor& g) { return sum_in(world, g); }}});
}

}  // namespace

Communicator::Communicator(const CommunicatorOptions& options) : Communicator(nullptr, options) {}
Communicator::Communicator(const void* host, const CommunicatorOptions& options)
    : world_(std::make_unique<World>(host, options)) {}
Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;

int Communicator::process() const {
  return world_->process();
}
int Communicator::processes() const {
  return world_->processes();
}
bool Communicator::alive() const {
  return world_->alive();
}
double Communicator::seconds_waited() const {
  return world_->seconds();
}
double Communicator::bytes_sent() const {
  return world_->bytes();
}

void Communicator::barrier() {
  world_->meet("barrier");
}

bool Communicator::any(bool yes) {
  return std::ranges::count(gather(yes ? 1 : 0), 1.0) > 0;
}

std::vector<double> Communicator::gather(double number) {
  world_->meet("gather");
  return world_->gather<double>("gather", std::span<const double>(&number, 1));
}

void Communicator::on_first(const std::function<void()>& f) {
  world_->meet("on_first", {}, is_first() ? failure_of(f) : nullptr);
}

void broadcast(Communicator& world, const std::vector<Tensor>& tensors) {
  World& all = World::of(world);
  constexpr const char* kOp = "broadcast";
  const std::exception_ptr failure = failure_of([&] {
    for (const Tensor& x : tensors)
      if (!x.defined()) fail(kOp, "a tensor was never given a value");
  });
  all.meet(kOp, {{"the list of shapes and dtypes", failure ? 0 : detail::hash_of_shapes(tensors), false}},
           failure);
  for (const Tensor& x : tensors) broadcast_elements(all, kOp, x);
}

void broadcast(Communicator& world, State& state) {
  World& all = World::of(world);
  constexpr const char* kOp = "broadcast";
  all.meet(kOp, {{"the kind of what is broadcast", 1}}, failure_of([&] { state.require_names_once(kOp); }));
  broadcast_state(all, kOp, state);
}

void broadcast(Communicator& world, std::string& text) {
  World& all = World::of(world);
  all.meet("broadcast", {{"the kind of what is broadcast", 2}});
  all.broadcast("broadcast", text);
}

void require_same(Communicator& world, const NamedTensors& tensors) {
  World& all = World::of(world);
  std::vector<std::uint64_t> hashes;
  for (const auto& [name, x] : tensors) hashes.push_back(detail::hash_of(x));
  detail::require_same_hashes(all, "require_same", hashes, [&](std::size_t i) {
    return fmt::format("{} (shape {})", tensors[i].first, tensors[i].second.shape());
  });
}

Tensor sum_over(Communicator& world, const Tensor& x) {
  return sum_in(World::of(world), x);
}

void save(Communicator& world, Checkpoints& checkpoints, const Checkpoint& checkpoint) {
  world.on_first([&] { checkpoints.save(checkpoint); });
}

std::optional<Checkpoints::Newest> newest(Communicator& world, Checkpoints& checkpoints) {
  World& all = World::of(world);
  constexpr const char* kOp = "newest";
  std::optional<Checkpoints::Newest> found;
  all.meet(kOp, {}, world.is_first() ? failure_of([&] { found = checkpoints.newest(); }) : nullptr);
  State about;
  if (found) {
    about.integers["step"] = static_cast<std::uint64_t>(found->checkpoint.step);
    if (found->checkpoint.metric) about.numbers["metric"] = *found->checkpoint.metric;
  }
  std::string path = found ? found->path.string() : "";
  all.broadcast(kOp, path);
  if (path.empty()) return std::nullopt;
  if (!found) found.emplace();
  found->path = path;
  std::string damaged = join(found->damaged, "\n");
  all.broadcast(kOp, damaged);
  if (world.process() != 0 && !damaged.empty()) found->damaged = {damaged};
  broadcast_state(all, kOp, about);
  found->checkpoint.step = static_cast<std::int64_t>(about.integers.at("step"));
  if (const auto metric = about.numbers.find("metric"); metric != about.numbers.end())
    found->checkpoint.metric = metric->second;
  broadcast_state(all, kOp, found->checkpoint.state);
  return found;
}

}  // namespace tapegrad::inline v0
