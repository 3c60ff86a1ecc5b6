#pragma once
// Reverse-mode differentiation. A tape is the list of nodes in the order in which they happened, which is
// already a topological order; backward reads it from the end. One output per node, first order, nothing
// global.
//
// One recording call per statement: compilers evaluate function arguments in different orders, and so would
// record different tapes.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/module.h"
#include "engine/tensor.h"

namespace stopgrad {

class Tape;

/// A tensor with a place on a tape. Not to be used beyond the step: another tape refuses it.
struct Var {
  Tensor value;
  Tape* tape = nullptr;
  int index = -1;  // -1: not recorded

  const Shape& shape() const { return value.shape(); }
  DType dtype() const { return value.dtype(); }
};

/// Where a gradient is to be written, and whether to add to what is there. Null data: nobody wants it.
template <class T>
struct Slot {
  T* data = nullptr;
  bool accumulate = false;
};

/// What a node sees during backward: the places for the gradients of its inputs.
class Grads {
 public:
  Grads(Tape& tape, int node) : tape_(tape), node_(node) {}
  /// Whether anybody needs the gradient of `input`. False for a constant, and where only a wall or constants
  /// lie before it: then it need not be computed.
  bool wants(int input) const;
  /// The place for the gradient of `input`; T is the input's type, or Acc of it for a parameter. A node may
  /// ask only once for each input, and must then write every element.
  template <class T>
  Slot<T> slot(int input) {
    if (!wants(input)) return {};
    bool accumulate = false;
    const Tensor place = slot_tensor(input, accumulate);
    return {place.data<T>(), accumulate};
  }

 private:
  friend class Tape;
  static constexpr size_t kMostInputs = 64;
  Tensor slot_tensor(int input, bool& accumulate);
  Tape& tape_;
  int node_;
  uint64_t asked_ = 0;  // one bit per input
};

/// One backward step. Saved tensors are named members; they go when the node goes, right after its turn.
class Node {
 public:
  virtual ~Node() = default;
  virtual const char* name() const = 0;
  /// Sizes worth printing, e.g. "3x3/2".
  virtual std::string detail() const { return {}; }
  /// dy is the complete gradient of the output. Must fill every slot that is wanted.
  virtual void backward(const Tensor& dy, Grads& grads) = 0;
};

/// One line of the tape, kept for printing when its node is gone.
struct TapeEntry {
  const char* name = "";
  std::string detail, scope;
  std::vector<int> inputs;
  Shape shape;
  DType dtype = DType::f32;
  bool wall = false;        // a detach: no gradient passes
  bool wants_grad = false;  // whether a gradient can arrive here
  bool got_grad = false;    // whether one arrived, after backward
  double grad_norm = 0;     // of that gradient, when the tape measures norms
  Parameter* parameter = nullptr;
};

/// Told where the work of a tape falls in time (benchmarks, traces). Operations launch their work, then
/// record: the forward of an entry is what was launched since the entry before it.
class TapeObserver {
 public:
  enum class Mark { recorded, backward_begins, backward_ends };
  virtual ~TapeObserver() = default;
  virtual void mark(Mark mark, int index) = 0;
};

class Tape {
 public:
  enum class Mode { record, off };  // off: values only, as in evaluation and target networks
  explicit Tape(Mode mode = Mode::record) : mode_(mode) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  bool recording() const { return mode_ == Mode::record; }

  /// A constant that shows on the tape (a view of an image).
  Var input(const Tensor& value, const char* name = "input");
  /// A leaf whose gradient is kept: see gradient().
  Var variable(const Tensor& value, const char* name = "variable");
  /// The leaf of a parameter; the second use finds the same one, and gradients add up there.
  Var leaf(Parameter& parameter);

  /// Puts a node with its inputs on the tape, unless none of them wants a gradient, or the tape is off.
  /// Inputs that another tape recorded, or more than 64, are Error(Exit::failed).
  Var record(const Tensor& value, std::unique_ptr<Node> node, const std::vector<Var>& inputs);
  /// The wall: the value passes, no gradient ever does.
  Var record_wall(const Var& x);
  /// Another name for part of x's memory (rows, reshape): gradients go straight into x's.
  Var record_alias(const Var& x, const Tensor& part, const char* name);

  /// Computes the gradients of `loss`, which is one number, and leaves them in the parameters and variables.
  /// Each node is destroyed, with the tensors that it saved, as soon as it has had its turn.
  void backward(const Var& loss);
  /// The gradient that reached a variable; undefined if none did.
  Tensor gradient(const Var& x) const;

  /// Names the part of the network that records next: "encoder/layer1.0". Ends with the object.
  class Scope {
   public:
    Scope(Tape& tape, const std::string& name);
    ~Scope() { tape_.scope_.resize(length_); }
    Scope(const Scope&) = delete;

   private:
    Tape& tape_;
    size_t length_;
  };

  /// Measures the norm of every gradient on the way (for pictures and lessons).
  void measure_gradients(bool on) { measure_ = on; }
  /// Stops with the node's name at the first gradient that is not finite.
  void check_finite(bool on) { check_finite_ = on; }
  /// The observer hears of every entry and of every node that runs backward; null for none.
  void set_observer(TapeObserver* observer) { observer_ = observer; }

  /// What was recorded, in order; to_text in engine/graph/view.h prints it.
  const std::vector<TapeEntry>& entries() const { return entries_; }

 private:
  friend class Grads;
  struct Gradient {
    const void* of = nullptr;  // the memory of the value
    Tensor place;
    bool complete = false;                           // every element was written
    std::vector<std::pair<int64_t, int64_t>> parts;  // element ranges written so far, while not complete
    int alias_of = -1;
    int64_t alias_begin = 0;
    bool keep = false;
  };

  int add_entry(TapeEntry entry, const Tensor& value);
  /// Of an input of `operation`, which must lie on this tape or on none.
  int index_of(const Var& x, const char* operation) const;
  Gradient& place_of(int index);
  Tensor slot(int index, bool& accumulate);
  void fill_rest_with_zero(Gradient& gradient);
  void run_node(int index);
  void observe(int index, const Tensor& gradient);
  void mark(TapeObserver::Mark what, int index) {
    if (observer_) observer_->mark(what, index);
  }

  Mode mode_;
  bool measure_ = false, check_finite_ = false, used_ = false;
  TapeObserver* observer_ = nullptr;
  std::string scope_;
  std::vector<TapeEntry> entries_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Gradient> gradients_;
  std::unique_ptr<Pool> pool_;  // of the loss, during backward: gradients live there
  std::map<const Parameter*, int> leaves_;
};

}  // namespace stopgrad
