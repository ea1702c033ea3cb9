/* What limits a computation. */
#ifndef BD_ROOF_H
#define BD_ROOF_H

enum bd_roof { BD_ROOF_READ, BD_ROOF_INT8, BD_ROOF_BF16, BD_ROOF_F32, BD_ROOFS };

#endif
