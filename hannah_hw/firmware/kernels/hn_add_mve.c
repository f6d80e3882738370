/* Addition with Helium; see hn_elementwise.c for what the parameters are. */
#include "hn_mve.h"
#if HN_MVE
#include <arm_mve.h>

void hn_add_mve(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                void *scratch) {
  (void)constants;
  (void)scratch;
  const int32x4_t low = vdupq_n_s32(l->low), high = vdupq_n_s32(l->high);
  const int32_t m1 = l->p0, m2 = l->p1, offset = l->p2, bits = -l->p3;
  for (int32_t left = l->out_h * l->out_w * l->out_c; left > 0; left -= 4, x += 4, x2 += 4, y += 4) {
    mve_pred16_t inside = vctp32q((uint32_t)left);
    int32x4_t sum = vmlaq_n_s32(vdupq_n_s32(offset), vldrbq_z_s32(x, inside), m1);
    sum = vshlq_r_s32(vmlaq_n_s32(sum, vldrbq_z_s32(x2, inside), m2), bits);
    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(sum, low), high), inside);
  }
}
#endif
