// Memory that is zero and takes pages only as they are touched, large ones where the system has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fairlead::detail {

/// For a table that is read at random: with pages of 4 KiB nearly every read of a table of 80 MB misses the
/// processor's table of pages, which costs more than the read. Aligned to 2 MiB where pages can be as large.
class ZeroedMemory {
  public:
    /// Throws std::bad_alloc.
    explicit ZeroedMemory(std::size_t bytes) {
#if defined(__linux__)
        bytes_ = bytes + large;  // room to begin on a multiple
        memory_ =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory_ == MAP_FAILED) throw std::bad_alloc{};
#if defined(MADV_HUGEPAGE)
        static_cast<void>(madvise(begin(), bytes, MADV_HUGEPAGE));  // a wish: small ones do as well
#endif
#else
        bytes_ = bytes + alignment;
        memory_ = std::calloc(bytes_, 1);
        if (memory_ == nullptr) throw std::bad_alloc{};
#endif
    }
    ZeroedMemory(const ZeroedMemory&) = delete;
    ZeroedMemory& operator=(const ZeroedMemory&) = delete;
    ~ZeroedMemory() {
#if defined(__linux__)
        munmap(memory_, bytes_);
#else
        std::free(memory_);
#endif
    }

    void* begin() const noexcept {
        const auto at = reinterpret_cast<std::uintptr_t>(memory_);
        return reinterpret_cast<void*>((at + alignment - 1) & ~(std::uintptr_t{alignment} - 1));
    }

  private:
    static constexpr std::size_t large = std::size_t{2} << 20;
#if defined(__linux__)
    static constexpr std::size_t alignment = large;
#else
    static constexpr std::size_t alignment = 64;
#endif
    void* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace fairlead::detail
