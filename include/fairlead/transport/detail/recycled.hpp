// Memory of what every request makes and drops again, kept for the next one.
//
// A loop with many requests under way has more blocks of one size in use at a time than the allocator keeps
// at hand for a thread (glibc: 7), and every one beyond costs several times as much.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace fairlead::detail {

/// A thread's blocks, by size. Threads: each has its own; a block may be given back on another than it was
/// taken on.
class SpareBlocks {
  public:
    // The sanitizer that finds uses of what was given back finds none of what is kept.
#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool keeps = false;
#elif defined(__has_feature)
    static constexpr bool keeps = !__has_feature(address_sanitizer);
#else
    static constexpr bool keeps = true;
#endif

    static void* take(std::size_t size) {
        if (auto* const cache = here(size)) {
            auto& list = cache->lists_[index_of(size)];
            if (list.first != nullptr) {
                --list.count;
                return std::exchange(list.first, list.first->next);
            }
        }
        return ::operator new(rounded(size));
    }

    static void give(void* block, std::size_t size) noexcept {
        if (auto* const cache = here(size)) {
            auto& list = cache->lists_[index_of(size)];
            if (list.count < most_kept) {
                ++list.count;
                list.first = new (block) Block{list.first};
                return;
            }
        }
        ::operator delete(block);
    }

    SpareBlocks(const SpareBlocks&) = delete;
    SpareBlocks& operator=(const SpareBlocks&) = delete;

  private:
    struct Block {
        Block* next;
    };
    struct List {
        Block* first = nullptr;
        std::size_t count = 0;
    };

    static constexpr std::size_t step = 64;  // a cache line
    // The objects of an exchange have some 1,000, and as much more as the host's own request is larger.
    static constexpr std::size_t largest = 2048;
    static constexpr std::size_t most_kept = 64;  // of a size: 2 MiB a thread at most, if all sizes were used

    static constexpr std::size_t index_of(std::size_t size) noexcept { return (size - 1) / step; }
    static constexpr std::size_t rounded(std::size_t size) noexcept {
        return size > largest ? size : (index_of(size) + 1) * step;
    }

    SpareBlocks() = default;
    ~SpareBlocks() {
        is_over() = true;
        for (auto& list : lists_) {
            while (list.first != nullptr) ::operator delete(std::exchange(list.first, list.first->next));
        }
    }

    /// What outlives the thread's cache, such as an object of the main thread, finds none.
    static bool& is_over() noexcept {
        thread_local bool over = false;
        return over;
    }

    static SpareBlocks* here(std::size_t size) noexcept {
        if (!keeps || size == 0 || size > largest || is_over()) return nullptr;
        thread_local SpareBlocks cache;
        return &cache;
    }

    std::array<List, largest / step> lists_{};
};

/// For `std::allocate_shared`.
template <class T>
struct RecyclingAllocator {
    using value_type = T;

    RecyclingAllocator() = default;
    template <class U>
    RecyclingAllocator(const RecyclingAllocator<U>&) noexcept {}  // NOLINT: allocators convert

    T* allocate(std::size_t count) { return static_cast<T*>(SpareBlocks::take(count * sizeof(T))); }
    void deallocate(T* block, std::size_t count) noexcept { SpareBlocks::give(block, count * sizeof(T)); }

    template <class U>
    bool operator==(const RecyclingAllocator<U>&) const noexcept {
        return true;
    }
};

/// As `std::make_shared`.
template <class T, class... Args>
std::shared_ptr<T> make_recycled(Args&&... args) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    return std::allocate_shared<T>(RecyclingAllocator<T>{}, std::forward<Args>(args)...);
}

}  // namespace fairlead::detail
