// Two passes over a body, by events: what the set-up is, then the prompt piece by piece into the hasher.
#include "gateway/prompt_key.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include <nlohmann/json.hpp>

#include <fairlead/model/prompt_hasher.hpp>

namespace gateway {
namespace {

using Json = nlohmann::json;

/// Knows at which depth an event is, and under which of the body's own members.
class Events : public nlohmann::json_sax<Json> {
  public:
    bool null() override { return mark("null"), true; }
    bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
    bool number_integer(std::int64_t value) override { return scalar(std::to_string(value)); }
    bool number_unsigned(std::uint64_t value) override { return number(value); }
    bool number_float(double, const std::string& text) override { return scalar(text); }
    bool string(std::string& value) override { return scalar(value); }
    bool binary(Json::binary_t&) override { return true; }
    bool key(std::string& name) override {
        (depth_ == 1 ? member_ : key_) = name;
        if (depth_ == 1) key_.clear();
        mark(name);
        return true;
    }
    bool start_object(std::size_t) override {
        if (key_ == "cache_control" && aside_from_ == 0) aside_from_ = depth_;
        ++depth_;
        if (depth_ == 3) begin_item();
        mark("{");
        return true;
    }
    bool end_object() override {
        mark("}");
        --depth_;
        if (depth_ <= aside_from_) aside_from_ = 0;
        key_.clear();
        return true;
    }
    bool start_array(std::size_t) override { return ++depth_, mark("["), true; }
    bool end_array() override { return mark("]"), --depth_, true; }
    bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }

  protected:
    /// Texts and what can be written as one.
    virtual bool scalar(const std::string& value) = 0;
    virtual bool number(std::uint64_t value) { return scalar(std::to_string(value)); }
    /// An object in a list that is a member of the body: a message, a tool.
    virtual void begin_item() {}
    /// What is no scalar: names, nothing, and how things are nested.
    virtual void mark(std::string_view) {}

    bool is_in(std::string_view member) const { return member_ == member; }
    bool is_in_messages() const { return is_in("messages") || is_in("input"); }

    /// What is no part of a prompt: of what kind a piece is, and up to where and how long the client wants it
    /// cached, which moves while a conversation grows.
    bool is_aside() const { return key_ == "type" || (aside_from_ != 0 && depth_ > aside_from_); }

    int depth_ = 0;
    int aside_from_ = 0;    // the depth of a `cache_control` that has begun
    std::string member_{};  // of the body
    std::string key_{};     // of the innermost object, the latest
};

/// What counts before the first text, and the messages' roles, which may stand behind their content.
class SetUp final : public Events {
  public:
    std::string salt{};
    std::string adapter{};
    std::string tools{};
    std::string instructions{};
    std::vector<std::string> roles{};

  private:
    bool scalar(const std::string& value) override {
        if (depth_ == 1 && is_in("cache_salt")) salt = value;
        if (depth_ == 1 && is_in("lora_path")) adapter = value;  // SGLang's; others name adapters as models
        // As one text or as a list of them.
        if ((is_in("instructions") || is_in("system")) && !is_aside()) instructions += value;
        mark(value);
        if (depth_ == 3 && is_in_messages() && key_ == "role" && !roles.empty()) roles.back() = value;
        return true;
    }
    void begin_item() override {
        if (is_in_messages()) roles.emplace_back();
    }
    /// All of the tools counts: an engine writes them into the prompt.
    void mark(std::string_view text) override {
        if (depth_ < 2 || (!is_in("tools") && !is_in("functions"))) return;
        tools.append(std::to_string(text.size())).append(":").append(text);
    }
};

class Prompt final : public Events {
  public:
    Prompt(fairlead::PromptHasher& hasher, const std::vector<std::string>& roles)
        : hasher_{hasher}, roles_{roles} {}

    void flush() {
        hasher_.token_ids(std::span{ids_}.first(count_));
        count_ = 0;
    }

  private:
    bool scalar(const std::string& value) override {
        if (is_in("prompt") || (is_in("input") && depth_ < 3)) {
            hasher_.text(value);
        } else if (is_in_messages() && depth_ >= 3 && !is_aside() && !(depth_ == 3 && key_ == "role")) {
            const bool is_media =
                key_ == "url" || key_ == "data" || key_ == "image_url" || key_ == "file_data";
            is_media ? hasher_.content(value) : hasher_.text(value);
        }
        return true;
    }
    bool number(std::uint64_t value) override {
        if (!is_in("prompt")) return scalar(std::to_string(value));
        ids_[count_++] = static_cast<std::uint32_t>(value);
        if (count_ == ids_.size()) flush();
        return true;
    }
    void begin_item() override {
        if (is_in_messages() && next_ < roles_.size()) hasher_.message(roles_[next_++]);
    }

    fairlead::PromptHasher& hasher_;
    const std::vector<std::string>& roles_;
    std::size_t next_ = 0;
    std::array<std::uint32_t, 256> ids_{};
    std::size_t count_ = 0;
};

}  // namespace

bool has_prompt(std::string_view path) {
    path = path.substr(0, path.find('?'));
    return path == "/v1/chat/completions" || path == "/v1/completions" || path == "/v1/responses" ||
           path == "/v1/messages";
}

PromptKey read_prompt(std::string_view body, std::string_view model, std::uint32_t block_tokens) {
    constexpr std::size_t most = 4'096;  // 65,536 tokens of 16: beyond that placements are made already
    if (block_tokens == 0) block_tokens = fairlead::usual_block_tokens;
    // Of a block in the body: token ids, each a digit and a comma.
    const std::size_t least_bytes = std::size_t{2} * block_tokens;
    PromptKey key;
    SetUp set_up;
    if (!Json::sax_parse(body, &set_up)) return key;
    key.blocks.resize(std::min(body.size() / least_bytes + 1, most));
    fairlead::PromptHasher hasher{
        key.blocks,
        {.model = model, .adapter = set_up.adapter, .cache_salt = set_up.salt, .tools = set_up.tools},
        block_tokens};
    if (!set_up.instructions.empty()) {
        hasher.message("system");
        hasher.text(set_up.instructions);
    }
    Prompt prompt{hasher, set_up.roles};
    Json::sax_parse(body, &prompt);
    prompt.flush();
    key.owner = hasher.owner();
    key.tokens = hasher.tokens();
    key.blocks.resize(hasher.blocks().size());
    return key;
}

}  // namespace gateway
