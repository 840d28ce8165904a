# tilesmith. `make demo` does the main job and verifies it; `make check` runs the tests.
#
#   gen/ runtime/ dispatch/ emu/ cli/  ->  $(B)/libtilesmith{,_rt}.{a,so}  $(B)/emu/libcuda.so.1  $(B)/tilesmith
#
# SANITIZE=1 builds with ASan and UBSan, into build-san/, SANITIZE=thread with TSan, into build-tsan/. CC=clang works too.
# V=1 prints commands.

CC = gcc
CFLAGS = -O2 -g
SANITIZE =
PREFIX = /usr/local
JOBS = $(shell nproc)
CUDA_HOME = /usr/local/cuda

tsan    = $(filter thread,$(SANITIZE))
B       = build$(if $(tsan),-tsan,$(if $(SANITIZE),-san))
VERSION := $(shell sed -n 's/^.define TS_VERSION "\(.*\)"/\1/p' runtime/tilesmith.h)
SOMAJOR := $(firstword $(subst ., ,$(VERSION)))

comma   := ,
asan    = -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
san     = $(if $(tsan),-fsanitize=thread,$(if $(SANITIZE),$(asan)))
cuda_h  = $(if $(wildcard $(CUDA_HOME)/include/cuda.h),-DHAVE_CUDA_H -isystem $(CUDA_HOME)/include)
compile = $(CC) -std=gnu11 -Wall -Wextra -fPIC -fvisibility=hidden -pthread -MMD -MP -I. $(CFLAGS) $(san)
link    = $(CC) $(CFLAGS) $(san) $(LDFLAGS)
libs    = -ldl -lm -pthread
silent  := $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS))))
say     = $(if $(V)$(silent),,@printf '%-4s %s\n' $(1) $@)
Q       = $(if $(V),,@)
objects = $(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)))

ptx_o := $(call objects,gen/ptx/*.c)
gen_o := $(call objects,gen/*.c) $(ptx_o)
rt_o  := $(call objects,runtime/*.c)
dsp_o := $(call objects,dispatch/*.c)
emu_o := $(call objects,emu/*.c) $(ptx_o)
cli_o := $(call objects,cli/*.c)
kit_o := $(filter-out $(B)/obj/cli/main.o,$(cli_o)) $(rt_o) $(dsp_o) $(gen_o)

programs := $(patsubst tests/%.c,$(B)/tests/%,$(filter-out %/fake_cuda.c %/plain_driver.c,$(wildcard tests/*.c tests/unit/*.c)))
tests    := $(sort $(programs) $(B)/tests/plain_driver) $(sort $(wildcard tests/*.t tests/*/*.t))

.PHONY: all demo check check-gpu check-threads deps golden bench-gen bench-call install uninstall clean
.SECONDARY:

all: $(B)/tilesmith $(B)/emu/libcuda.so.1 $(B)/libtilesmith.a $(B)/libtilesmith.so $(B)/libtilesmith_rt.a $(B)/libtilesmith_rt.so

demo: all
	$(B)/tilesmith run --shape 512x1024x768,129x127x65 --dtype f16
	$(B)/tilesmith run --shape 256x512x384 --dtype bf16

# ---- what is built ----

$(B)/obj/%.o: %.c Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(compile) -c $< -o $@

$(B)/tilesmith: $(cli_o) $(rt_o) $(dsp_o) $(gen_o)
	$(call say,LINK)
	$(Q)$(link) $^ -o $@ $(libs)

# Static libraries hold one object each, in which only ts_ symbols are global.
$(B)/libtilesmith_rt.a: $(rt_o)
$(B)/libtilesmith.a: $(rt_o) $(dsp_o) $(gen_o)
$(B)/%.a:
	$(call say,AR)
	$(Q)ld -r $^ -o $(@:.a=.o)
	$(Q)objcopy --localize-hidden $(@:.a=.o)
	$(Q)rm -f $@ && ar rcs $@ $(@:.a=.o)

$(B)/libtilesmith_rt.so: $(rt_o)
$(B)/libtilesmith.so: $(rt_o) $(dsp_o) $(gen_o)
$(B)/libtilesmith%so:
	$(call say,LINK)
	$(Q)$(link) -shared -Wl,-soname,$(@F).$(SOMAJOR) $^ -o $@.$(VERSION) $(libs)
	$(Q)ln -sf $(@F).$(VERSION) $@.$(SOMAJOR)
	$(Q)ln -sf $(@F).$(SOMAJOR) $@

$(B)/emu/libcuda.so.1: $(emu_o)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(link) -shared -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) $^ -o $@ $(libs)

# ---- tests: TAP programs and scripts, found by wildcard ----

$(B)/tests/unit/cuda_abi: private compile += $(cuda_h)
$(B)/tests/%: tests/%.c $(kit_o) Makefile
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(compile) -MF $@.d $< $(kit_o) -o $@ $(libs)

$(B)/tests/fake_cuda.so: tests/unit/fake_cuda.c
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(compile) -MF $@.d -shared $< -o $@ $(libs)

# Nothing but the driver API, linked as any CUDA program links it.
$(B)/tests/plain_driver: tests/plain_driver.c $(B)/emu/libcuda.so.1
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(compile) -MF $@.d $< -o $@ -L$(B)/emu -l:libcuda.so.1 -Wl,-rpath,'$$ORIGIN/../emu' -lm

# Nobody's measurements, pins or logs come into tests.
test_env = env -u TILESMITH_CONFIG -u TILESMITH_ARCH -u TILESMITH_LOG -u TILESMITH_DISABLE_TUNING TILESMITH_CACHE_DIR=$(B)/cache TILESMITH=$(B)/tilesmith TILESMITH_EMU_LIB=$(B)/emu/libcuda.so.1 TILESMITH_FAKE_LIB=$(B)/tests/fake_cuda.so TILESMITH_BUILD=$(B)

check: all $(programs) $(B)/tests/plain_driver $(B)/tests/fake_cuda.so $(B)/bench/bench_gen $(B)/bench/bench_call
	$(Q)$(test_env) prove -j$(JOBS) --exec '' $(tests)

# The tests that run kernels, on the first GPU.
gpu_tests = $(addprefix $(B)/tests/,ptx_rows hopper sweep split bits stress threads linear large)
check-gpu: all $(gpu_tests)
	$(test_env) TILESMITH_TEST_DRIVER=libcuda.so.1 prove -v --exec '' $(gpu_tests)

# Those in which several threads call the library, or work for the emulator.
thread_tests = $(addprefix $(B)/tests/,threads stress tune split linear hopper unit/dispatch unit/runtime_launch)
check-threads: all $(thread_tests) $(B)/tests/fake_cuda.so
	$(Q)$(test_env) prove -j$(JOBS) --exec '' $(thread_tests)

deps:
	@tests/deps.t

golden: $(B)/tilesmith
	rm -f ptx_out/*.ptx
	$(B)/tilesmith gen --all -o ptx_out/

bench-gen: $(B)/bench/bench_gen
	$<
bench-call: $(B)/bench/bench_call
	$<
$(B)/bench/%: bench/%.c $(kit_o)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(compile) -MF $@.d $< $(kit_o) -o $@ $(libs)

# ---- installing ----

to = $(DESTDIR)$(PREFIX)
define pc_file
prefix=$(PREFIX)
Name: tilesmith
Description: fused linear layers on NVIDIA GPUs
Version: $(VERSION)
Cflags: -I$${prefix}/include
Libs: -L$${prefix}/lib -ltilesmith
Libs.private: $(libs)
endef
export pc_file

install: all
	install -d '$(to)/bin' '$(to)/include' '$(to)/lib/tilesmith/emu' '$(to)/lib/pkgconfig'
	install $(B)/tilesmith '$(to)/bin'
	install -m 644 runtime/tilesmith.h '$(to)/include'
	install -m 644 $(B)/libtilesmith.a $(B)/libtilesmith_rt.a '$(to)/lib'
	cp -P $(B)/libtilesmith.so* $(B)/libtilesmith_rt.so* '$(to)/lib'
	install $(B)/emu/libcuda.so.1 '$(to)/lib/tilesmith/emu'
	printf '%s\n' "$$pc_file" > '$(to)/lib/pkgconfig/tilesmith.pc'

uninstall:
	rm -f '$(to)/bin/tilesmith' '$(to)/include/tilesmith.h' '$(to)/lib/pkgconfig/tilesmith.pc'
	rm -f '$(to)/lib/'libtilesmith.a '$(to)/lib/'libtilesmith_rt.a '$(to)/lib/'libtilesmith.so* '$(to)/lib/'libtilesmith_rt.so*
	rm -rf '$(to)/lib/tilesmith'

clean:
	rm -rf build build-san build-tsan

-include $(shell find $(B) -name '*.d' 2>/dev/null)
