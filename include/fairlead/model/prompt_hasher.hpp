// From a request to what an engine's prefix cache would key on: one hash for each block of the prompt.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>

#include <fairlead/model/block_tokens.hpp>

namespace fairlead {

/// What an engine's cache takes into account beside the prompt itself. Unlike in any of these, nothing
/// matches from the first block on.
struct PromptSetUp {
    std::string_view model{};
    std::string_view adapter{};     ///< LoRA adapter
    std::string_view cache_salt{};  ///< as the request gives it
    std::string_view tools{};       ///< as they stand in the request
};

namespace detail {

/// A hash of 64-byte stripes, each chained on the one before. The mixing is that of wyhash (Wang Yi, 2019,
/// public domain): two words, a constant added to each by exclusive or, multiplied to 128 bits, the halves
/// folded. Little-endian words on every machine. Not for secrets.
class StripeHash {
  public:
    static constexpr std::size_t stripe = 64;

    explicit StripeHash(std::uint64_t seed = 0) noexcept : chain_{fold(seed ^ keys[0], keys[1])} {}

    /// The next stripe, all of it.
    void absorb(const char* data) noexcept {
        const std::uint64_t a = fold(word(data) ^ keys[0], word(data + 8) ^ keys[1]);
        const std::uint64_t b = fold(word(data + 16) ^ keys[2], word(data + 24) ^ keys[3]);
        const std::uint64_t c = fold(word(data + 32) ^ keys[1], word(data + 40) ^ keys[2]);
        const std::uint64_t d = fold(word(data + 48) ^ keys[3], word(data + 56) ^ keys[0]);
        // Rotated, so that two like pairs do not cancel out.
        const std::uint64_t all = (a ^ std::rotl(b, 17)) + (std::rotl(c, 31) ^ std::rotl(d, 47));
        chain_ = fold(chain_ ^ all, keys[2] ^ std::rotl(chain_, 32));
    }

    /// A number beside the text: a length, a mark.
    void absorb(std::uint64_t number) noexcept {
        chain_ = fold(chain_ ^ keys[3], number ^ keys[0]) ^ std::rotl(chain_, 23);
    }

    /// A text and its end: pieces of unlike cut give unlike hashes.
    void absorb_text(std::string_view text) noexcept {
        absorb(std::uint64_t{text.size()});
        while (text.size() >= stripe) {
            absorb(text.data());
            text.remove_prefix(stripe);
        }
        if (text.empty()) return;
        std::array<char, stripe> last{};
        std::copy(text.begin(), text.end(), last.begin());
        absorb(last.data());
    }

    std::uint64_t value() const noexcept { return chain_; }

  private:
    // Odd, about half of the bits set: the fractional parts of the square roots of 2, 3, 5 and 7.
    static constexpr std::uint64_t keys[4] = {0x6a09e667f3bcc909U, 0xbb67ae8584caa73bU, 0x3c6ef372fe94f82bU,
                                              0xa54ff53a5f1d36f1U};

    static std::uint64_t word(const char* data) noexcept {
        std::uint64_t value = 0;
        std::memcpy(&value, data, sizeof value);
        if constexpr (std::endian::native == std::endian::big) {
            std::uint64_t turned = 0;
            for (unsigned i = 0; i < 8; ++i) turned |= ((value >> (8 * i)) & 0xff) << (56 - 8 * i);
            value = turned;
        }
        return value;
    }

    static std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
#if defined(__SIZEOF_INT128__)
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
#else
        const std::uint64_t al = a & 0xffffffff, ah = a >> 32, bl = b & 0xffffffff, bh = b >> 32;
        const std::uint64_t low = al * bl, left = ah * bl, right = al * bh;
        const std::uint64_t middle = (low >> 32) + (left & 0xffffffff) + right;
        const std::uint64_t high = ah * bh + (left >> 32) + (middle >> 32);
        return ((middle << 32) | (low & 0xffffffff)) ^ high;
#endif
    }

    std::uint64_t chain_;
};

/// The same over pieces of any length, however they are cut.
class PieceHash {
  public:
    explicit PieceHash(std::uint64_t seed = 0) noexcept : hash_{seed} {}

    void feed(std::string_view text) noexcept {
        fed_ += text.size();
        if (fill_ > 0) {
            const std::size_t part = std::min(text.size(), StripeHash::stripe - fill_);
            std::copy_n(text.data(), part, buffer_.data() + fill_);
            fill_ += part;
            text.remove_prefix(part);
            if (fill_ < StripeHash::stripe) return;
            hash_.absorb(buffer_.data());
            fill_ = 0;
        }
        for (; text.size() >= StripeHash::stripe; text.remove_prefix(StripeHash::stripe))
            hash_.absorb(text.data());
        std::copy(text.begin(), text.end(), buffer_.begin());
        fill_ = text.size();
    }

    /// Where the pieces so far end, a number; nothing of it follows from the text.
    void mark(std::uint64_t number) noexcept {
        flush();
        hash_.absorb(number);
    }

    /// Ends a part: what is fed from here on begins a new stripe.
    void flush() noexcept {
        if (fill_ != 0) {
            std::fill(buffer_.begin() + static_cast<std::ptrdiff_t>(fill_), buffer_.end(), '\0');
            hash_.absorb(buffer_.data());
        }
        hash_.absorb(fed_);
        fill_ = 0;
        fed_ = 0;
    }

    std::uint64_t value() const noexcept { return hash_.value(); }

  private:
    StripeHash hash_;
    std::array<char, StripeHash::stripe> buffer_{};
    std::size_t fill_ = 0;
    std::uint64_t fed_ = 0;
};

}  // namespace detail

/// Makes `Criteria::prefix` and `Criteria::owner` from a request, piece by piece as it is parsed:
///
///     std::array<std::uint64_t, 1024> blocks;                       // 64 KiB of text, or 16,384 tokens
///     fairlead::PromptHasher hasher{blocks, {.model = "qwen", .cache_salt = salt}};
///     for (const auto& message : messages) {
///         hasher.message(message.role);
///         hasher.text(message.content);
///     }
///     const fairlead::Criteria criteria{.model = "qwen", .tokens = hasher.tokens(),
///                                       .prefix = hasher.blocks(), .owner = hasher.owner()};
///
/// A block is `block_tokens` tokens, of text four bytes each. Its hash is chained on the one before; the
/// first stands on the set-up too. How a text is cut into pieces makes no difference; where a message begins
/// does. Only whole blocks count, as in an engine's cache, and only as many as the buffer holds.
///
/// The same on every machine, build and version. Allocates nothing. Threads: one at a time. Cost: some 5
/// GB/s. The hash is fast and not made against an adversary: whoever forges one steers where a request goes,
/// and finds nothing in a cache that the engine does not find equal.
class PromptHasher {
  public:
    static constexpr std::size_t bytes_a_token = 4;

    /// `blocks` must live as long. `block_tokens`: 0 is the usual 16.
    explicit PromptHasher(std::span<std::uint64_t> blocks, const PromptSetUp& set_up = {},
                          std::uint32_t block_tokens = 0) noexcept
        : blocks_{blocks},
          block_bytes_{std::size_t{block_tokens != 0 ? block_tokens : usual_block_tokens} * bytes_a_token} {
        detail::StripeHash whose;
        for (const auto part : {set_up.model, set_up.adapter, set_up.cache_salt}) whose.absorb_text(part);
        owner_ = detail::PieceHash{whose.value()};
        whose.absorb_text(set_up.tools);
        chain_ = detail::StripeHash{whose.value()};
        left_ = block_bytes_;
    }

    /// A message begins. The first whose role is neither "system" nor "developer" makes the owner.
    void message(std::string_view role) noexcept {
        detail::StripeHash kind{mark_message};
        kind.absorb_text(role);
        mark(kind.value());
        const bool is_first = !has_owner_ && role != "system" && role != "developer";
        owner_is_open_ = is_first;
        if (is_first) {
            has_owner_ = true;
            owner_.mark(kind.value());
        }
    }

    /// The next piece of the message's text, or of a prompt without messages.
    void text(std::string_view piece) noexcept {
        bytes_ += piece.size();
        if (owner_is_open_) owner_.feed(piece);
        if (used_ < blocks_.size()) feed(piece);
    }

    /// An image or a recording, by its content; its tokens are not known here.
    void content(std::string_view data) noexcept {
        detail::StripeHash whole{mark_content};
        whole.absorb_text(data);
        mark(whole.value());
        if (owner_is_open_) owner_.mark(whole.value());
    }

    /// The next tokens of a prompt that is given in tokens: by value.
    void token_ids(std::span<const std::uint32_t> ids) noexcept {
        if (!has_token_ids_) mark(mark_token_ids);  // no text has the same hashes
        has_token_ids_ = true;
        bytes_ += ids.size() * bytes_a_token;
        std::array<char, detail::StripeHash::stripe> bytes;
        while (!ids.empty() && used_ < blocks_.size()) {
            const std::size_t count = std::min(ids.size(), bytes.size() / bytes_a_token);
            for (std::size_t i = 0; i < count * bytes_a_token; ++i)
                bytes[i] = static_cast<char>(ids[i / 4] >> (8 * (i % 4)));
            feed({bytes.data(), count * bytes_a_token});
            ids = ids.subspan(count);
        }
    }

    /// The whole blocks so far.
    std::span<const std::uint64_t> blocks() const noexcept { return blocks_.first(used_); }

    /// The prompt's tokens so far: exact for token ids, an estimate for text.
    std::uint64_t tokens() const noexcept { return (bytes_ + bytes_a_token - 1) / bytes_a_token; }

    /// What names the conversation: of model, adapter, salt and the first message that is not the system's.
    /// 0 while there is none. A common system prompt is not in it, which would make one backend the owner of
    /// everything.
    std::uint64_t owner() const noexcept {
        if (!has_owner_) return 0;
        detail::PieceHash whole = owner_;
        whole.flush();
        return whole.value() == 0 ? 1 : whole.value();
    }

  private:
    static constexpr std::uint64_t mark_message = 1;
    static constexpr std::uint64_t mark_content = 2;
    static constexpr std::uint64_t mark_token_ids = 3;

    /// Something that is no text, at this place of the block.
    void mark(std::uint64_t value) noexcept {
        chain_.absorb(value);
        chain_.absorb(std::uint64_t{left_});
    }

    void feed(std::string_view text) noexcept {
        constexpr std::size_t stripe = detail::StripeHash::stripe;
        while (!text.empty()) {
            if (fill_ == 0 && text.size() >= stripe && left_ >= stripe) {
                chain_.absorb(text.data());
                text.remove_prefix(stripe);
                left_ -= stripe;
            } else {
                const std::size_t part = std::min({text.size(), stripe - fill_, left_});
                std::copy_n(text.data(), part, buffer_.data() + fill_);
                text.remove_prefix(part);
                fill_ += part;
                left_ -= part;
                if (fill_ < stripe && left_ > 0) return;
                std::fill(buffer_.begin() + static_cast<std::ptrdiff_t>(fill_), buffer_.end(), '\0');
                chain_.absorb(buffer_.data());
                fill_ = 0;
            }
            if (left_ > 0) continue;
            left_ = block_bytes_;
            blocks_[used_++] = chain_.value();
            if (used_ == blocks_.size()) return;
        }
    }

    std::span<std::uint64_t> blocks_;
    std::size_t block_bytes_;
    std::size_t used_ = 0;
    std::size_t left_ = 0;  // bytes until the block is whole
    std::size_t fill_ = 0;  // bytes of the stripe that is not whole
    std::uint64_t bytes_ = 0;
    detail::StripeHash chain_;
    detail::PieceHash owner_;
    std::array<char, detail::StripeHash::stripe> buffer_{};
    bool has_owner_ = false;
    bool owner_is_open_ = false;
    bool has_token_ids_ = false;
};

}  // namespace fairlead
