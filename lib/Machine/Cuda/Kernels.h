#ifndef MPOPT_LIB_MACHINE_CUDA_KERNELS_H
#define MPOPT_LIB_MACHINE_CUDA_KERNELS_H

namespace mpopt::machine {

/// The kernels that measure a GPU, as PTX that its driver compiles. Threads step over elements of 16 bytes by the size
/// of the grid.
///   mpopt_nothing()
///   mpopt_wait(u64 nanoseconds): keeps the stream busy, so that what follows queues up behind it
///   mpopt_triad(f32 *a, f32 *b, f32 *c, u64 elements): a = b + 0.5 c
///   mpopt_read(u32 *data, u64 elements, u64 passes, u32 *sum): reads past the L1, `passes` times
inline constexpr char kKernels[] = R"ptx(
.version 6.0
.target sm_50
.address_size 64

.visible .entry mpopt_nothing() { ret; }

.visible .entry mpopt_wait(.param .u64 nanoseconds)
{
  .reg .u64 %start, %now, %limit;
  .reg .pred %more;
  ld.param.u64 %limit, [nanoseconds];
  mov.u64 %start, %globaltimer;
again:
  mov.u64 %now, %globaltimer;
  sub.u64 %now, %now, %start;
  setp.lt.u64 %more, %now, %limit;
  @%more bra again;
  ret;
}

.visible .entry mpopt_triad(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 elements)
{
  .reg .u64 %a, %b, %c, %n, %i, %step, %offset, %to, %left, %right;
  .reg .u32 %block, %blocks, %size, %thread, %first, %all;
  .reg .f32 %x<4>, %y<4>;
  .reg .pred %done;
  ld.param.u64 %a, [a];
  ld.param.u64 %b, [b];
  ld.param.u64 %c, [c];
  ld.param.u64 %n, [elements];
  cvta.to.global.u64 %a, %a;
  cvta.to.global.u64 %b, %b;
  cvta.to.global.u64 %c, %c;
  mov.u32 %block, %ctaid.x;
  mov.u32 %blocks, %nctaid.x;
  mov.u32 %size, %ntid.x;
  mov.u32 %thread, %tid.x;
  mad.lo.u32 %first, %block, %size, %thread;
  mul.lo.u32 %all, %blocks, %size;
  cvt.u64.u32 %i, %first;
  cvt.u64.u32 %step, %all;
next:
  setp.ge.u64 %done, %i, %n;
  @%done bra end;
  shl.b64 %offset, %i, 4;
  add.u64 %left, %b, %offset;
  add.u64 %right, %c, %offset;
  add.u64 %to, %a, %offset;
  ld.global.v4.f32 {%x0, %x1, %x2, %x3}, [%left];
  ld.global.v4.f32 {%y0, %y1, %y2, %y3}, [%right];
  fma.rn.f32 %x0, %y0, 0f3F000000, %x0;
  fma.rn.f32 %x1, %y1, 0f3F000000, %x1;
  fma.rn.f32 %x2, %y2, 0f3F000000, %x2;
  fma.rn.f32 %x3, %y3, 0f3F000000, %x3;
  st.global.v4.f32 [%to], {%x0, %x1, %x2, %x3};
  add.u64 %i, %i, %step;
  bra next;
end:
  ret;
}

.visible .entry mpopt_read(.param .u64 data, .param .u64 elements, .param .u64 passes, .param .u64 sum)
{
  .reg .u64 %data, %n, %passes, %sum, %i, %start, %step, %offset, %from;
  .reg .u32 %block, %blocks, %size, %thread, %first, %all, %w<4>, %total;
  .reg .pred %done, %more, %never;
  ld.param.u64 %data, [data];
  ld.param.u64 %n, [elements];
  ld.param.u64 %passes, [passes];
  ld.param.u64 %sum, [sum];
  cvta.to.global.u64 %data, %data;
  cvta.to.global.u64 %sum, %sum;
  mov.u32 %block, %ctaid.x;
  mov.u32 %blocks, %nctaid.x;
  mov.u32 %size, %ntid.x;
  mov.u32 %thread, %tid.x;
  mad.lo.u32 %first, %block, %size, %thread;
  mul.lo.u32 %all, %blocks, %size;
  cvt.u64.u32 %start, %first;
  cvt.u64.u32 %step, %all;
  mov.u32 %total, 0;
pass:
  mov.u64 %i, %start;
next:
  setp.ge.u64 %done, %i, %n;
  @%done bra passed;
  shl.b64 %offset, %i, 4;
  add.u64 %from, %data, %offset;
  ld.global.cg.v4.u32 {%w0, %w1, %w2, %w3}, [%from];
  xor.b32 %w0, %w0, %w1;
  xor.b32 %w2, %w2, %w3;
  add.u32 %total, %total, %w0;
  add.u32 %total, %total, %w2;
  add.u64 %i, %i, %step;
  bra next;
passed:
  sub.u64 %passes, %passes, 1;
  setp.ne.u64 %more, %passes, 0;
  @%more bra pass;
  setp.ne.u32 %never, %total, 305419896;
  @%never bra end;
  st.global.u32 [%sum], %total;
end:
  ret;
}
)ptx";

} // namespace mpopt::machine

#endif // MPOPT_LIB_MACHINE_CUDA_KERNELS_H
