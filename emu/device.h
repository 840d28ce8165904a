/* device.h: global memory.
 *
 * Device addresses lie in a range of the process that is reserved and never accessible: no host pointer
 * can equal one, and a program that follows a device pointer on the host faults, as it would with a GPU.
 * The bytes live elsewhere. Allocations keep their exact size, are 256-byte aligned (and no more), stand
 * apart by unallocated guards, and are not reused while there are fresh addresses, so that an access
 * behind an allocation, or to a freed one, is seen and can be named.
 *
 * The table is not locked: the driver API calls with its lock held, and launches only read it.
 */
#ifndef EMU_DEVICE_H
#define EMU_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct DeviceRange {
    uint64_t base, bytes;
    unsigned char *host; /* NULL: freed */
    void *owner;         /* the context that allocated it */
} DeviceRange;

/* Reserves addresses for a device with this much memory; false when the system refuses. */
bool device_memory_open(uint64_t memory_bytes);
uint64_t device_memory_total(void);
uint64_t device_memory_free(void);

/* A fresh allocation full of poison; 0 when there is no room. */
uint64_t device_alloc(uint64_t bytes, void *owner);
bool device_release(uint64_t base, const void *owner); /* owner NULL: whoever */
void device_release_all(const void *owner);

/* Whether the address is one of the device's at all. */
bool device_owns(uint64_t address);
/* The live allocation with this address in it, or NULL. */
const DeviceRange *device_find(uint64_t address);
/* The bytes at address, all inside one live allocation, or NULL. */
unsigned char *device_bytes(uint64_t address, uint64_t bytes);
/* Says what lies there instead: "2 B behind the end of an allocation of 4096 B". */
void device_describe(uint64_t address, uint64_t bytes, char *out, size_t out_bytes);

#endif
