#include "kernels/copy_columns.h"

#include "kernels/loops.h"

namespace stopgrad::cpu {

template <class T>
void run(const CopyColumns<T>& c, Context& context) {
  each_row(c.rows, c.rows * c.to, context, [=](int64_t row) {
    for (int column = 0; column < c.to; ++column) {
      const Acc<T> value = column < c.from ? Acc<T>(c.x[row * c.from + column]) : 0;
      put(c.y[row * c.to + column], value, c.accumulate);
    }
  });
}

template void run(const CopyColumns<float>&, Context&);
template void run(const CopyColumns<bf16>&, Context&);
template void run(const CopyColumns<double>&, Context&);

}  // namespace stopgrad::cpu
