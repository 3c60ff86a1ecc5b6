#pragma once
// What the CUDA schedules share: the device, its stream, scratch memory, libraries. No CUDA header is needed
// to read this one.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

struct CUstream_st;
struct CUevent_st;

namespace stopgrad::cuda {

struct Libraries;  // cuDNN and cuBLASLt: handles, plans, workspace (cuda_libraries.h)

/// What the precision of float convolutions and matrix products is made of.
enum class FloatMath { fp32, tf32 };

struct DeviceInfo {
  std::string name;  // ends in "(emulated)" in the preset emulate
  int processors;    // streaming multiprocessors
  int major, minor;  // compute capability
  size_t memory;     // bytes
  size_t shared;     // bytes of shared memory a block may ask for
};

class Context {
 public:
  /// Error(Exit::device) where there is no such device, or no driver: the message says which.
  explicit Context(int device = 0);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int device() const { return device_; }
  const DeviceInfo& info() const { return info_; }
  /// For work of any kind but our kernels; the kernel that comes next starts when that has ended.
  CUstream_st* stream() {
    after_kernel_ = false;
    return stream_;
  }
  FloatMath float_math = FloatMath::fp32;
  /// Whether batch norms that fit on the chip are read once: the bits are those of two passes, the time
  /// differs. The environment's STOPGRAD_ON_CHIP, "on" (unless told) or "off", decides.
  bool on_chip;
  /// Whether a kernel may start while the one before it ends (programmatic dependent launch): same bits. The
  /// environment's STOPGRAD_OVERLAP, "on" or "off", decides; unset is off, as no GPU has shown that it gains.
  bool overlap;

  /// For launch_kernel. A kernel overlaps only where the last thing on the stream is a kernel of ours too,
  /// and neither is cooperative.
  struct Turn {
    CUstream_st* stream;
    bool overlaps;
  };
  Turn next_kernel(bool cooperative);

  /// Throws on any status but success: Error(Exit::memory) when the device is full, else Error(Exit::device).
  /// After an error that the device does not recover from, every later check throws it again.
  void check(int status, const char* call);

  /// False after an error that the device does not recover from: nothing may be called on it any more.
  bool usable() const { return broken_.empty(); }
  /// After a library's error: whether the device goes on, so that the error is the library's alone. Waits for
  /// the stream.
  bool survives();
  /// The same for a library's error, in its own words.
  [[noreturn]] void fail_library(const char* call, const char* says, bool memory);

  /// Uninitialised device memory for the call that asks; it ends with the next scratch(). Grows and stays;
  /// must not grow during capture.
  void* scratch(size_t bytes);
  /// How often it has moved: a graph captured before holds an address that is no more.
  int64_t scratch_moves() const { return scratch_moves_; }
  template <class T>
  T* scratch_of(size_t count) {
    return static_cast<T*>(scratch(count * sizeof(T)));
  }

  /// Throws while a graph is captured: `what` ("a plan would be made") is to happen before.
  void refuse_during_capture(const std::string& what);

  /// A zero on the device, for kernels whose blocks count themselves; they leave it zero.
  unsigned* ticket() const { return ticket_; }

  void* allocate(size_t bytes);  // not during capture
  void free(void* at) noexcept;
  void copy_to_device(void* to, const void* from, size_t bytes);  // returns when `from` may change
  void copy_to_host(void* to, const void* from, size_t bytes);    // waits
  void copy_on_device(void* to, const void* from, size_t bytes);
  void fill(void* at, int value, size_t bytes);  // every byte
  void synchronize();
  void* allocate_pinned(size_t bytes);
  void free_pinned(void* at) noexcept;
  /// From pinned memory, on a stream of its own; await_background() makes the compute stream wait for it.
  void copy_in_background(void* to, const void* from, size_t bytes);
  void await_background();
  void finish_background() noexcept;  // the host waits
  /// Copies between pinned and device memory for which the host does not wait.
  void copy_from_pinned(void* to, const void* from, size_t bytes);
  void copy_to_pinned(void* to, const void* from, size_t bytes);
  /// A point in the compute stream: marked after what was launched so far, then waited for.
  CUevent_st* make_event();
  void mark(CUevent_st* event);
  void wait(CUevent_st* event);
  void destroy(CUevent_st* event) noexcept;
  /// Free bytes of the device, as its driver tells.
  size_t free_bytes();

  /// Opened at first use.
  Libraries& libraries();

 private:
  int device_;
  DeviceInfo info_;
  CUstream_st *stream_ = nullptr, *copy_stream_ = nullptr;  // the second one at first use
  bool after_kernel_ = false;                               // of ours, on the stream
  CUevent_st* copied_ = nullptr;
  unsigned* ticket_ = nullptr;
  void* scratch_ = nullptr;
  size_t capacity_ = 0;
  int64_t scratch_moves_ = 0;
  std::string broken_;  // what the device said when it broke
  std::unique_ptr<Libraries, void (*)(Libraries*)> libraries_;
};

/// True where this build can use a device now; else says why not, in a sentence with what to do.
bool available(std::string* why = nullptr);

}  // namespace stopgrad::cuda
