// SPDX-License-Identifier: GPL-2.0

//! The architectures that kernels are built for.

/// Architecture of a kernel, which decides on the machine that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86-64, for a virtual machine.
    X86,
    /// User Mode Linux on x86-64: a program of the host.
    Um,
}

impl Arch {
    /// Arguments of every `make` of the kernel.
    pub const fn make(self) -> &'static [&'static str] {
        match self {
            Arch::X86 => &[],
            Arch::Um => &[
                // Never with SUBARCH=x86_64, which scripts/Makefile.clang does not know.
                "ARCH=um",
                // The stub in the guest's processes calls rt_sigreturn(2) with nothing on its
                // stack, not even a frame pointer: see docs/found-in-the-kernel.md.
                "CFLAGS_stub.o=$(CFLAGS_NO_HARDENING) -fomit-frame-pointer",
                // With the large code model, clang puts data into sections such as .lbss, which the
                // linker scripts of arch/um do not know: see docs/found-in-the-kernel.md. As an option
                // of the front end it is no error for the vDSO, which has the small model.
                "KCFLAGS=-Xclang -mlarge-data-threshold=2147483647",
            ],
        }
    }

    /// Further arguments of the `make` of a module.
    pub const fn make_module(self) -> &'static [&'static str] {
        match self {
            Arch::X86 => &[],
            // arch/um/Makefile leaves rustc's default, position-independent code, whose relocations
            // the module loader does not know.
            Arch::Um => &["RUSTFLAGS_MODULE=-Crelocation-model=static -Ccode-model=large"],
        }
    }

    /// Headers that the kernel's Rust bindings must have and that bindings_helper.h does not
    /// include on this architecture.
    pub const fn bound_headers(self) -> &'static [&'static str] {
        match self {
            // By way of asm/tlbflush.h.
            Arch::X86 => &[],
            Arch::Um => &["linux/mmu_notifier.h"],
        }
    }

    /// Part of the names of build directories, with a dash after it if it is not empty.
    pub const fn prefix(self) -> &'static str {
        match self {
            Arch::X86 => "",
            Arch::Um => "uml-",
        }
    }
}
