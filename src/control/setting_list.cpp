// The list of settings: what each is called, means, accepts, and is when nobody says anything.
#include "setting_list.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include <fairlead/strategies/any_strategy.hpp>

#include "problems.hpp"

namespace fairlead {
namespace detail {
namespace {

/// What the field itself cannot tell. The order is that of `--help` and of the documentation.
struct SettingRow {
    std::string_view json_name{};
    bool of_guide = false;  ///< the operator's guide names it: no `FAIRLEAD_` before it
    std::string_view unit{};
    std::string_view english{};
    std::string_view chinese{};
    bool needs_restart = false;
};

constexpr SettingRow setting_rows[] = {
    {"llm_backends", true, "", "the backends: a JSON array of objects with name and url",
     "后端列表：由含 name 和 url 的对象组成的 JSON 数组"},
    {"vllm_server_url", true, "", "URL of the single backend, named default; used without LLM_BACKENDS",
     "单个后端（名为 default）的 URL；没有 LLM_BACKENDS 时使用"},
    {"model_name", true, "", "model of the single backend", "单个后端的模型名称"},
    {"api_key", true, "", "API key of the single backend", "单个后端的 API 密钥"},
    {"load_balance_enabled", true, "", "the main switch; not set: on when there are backends in LLM_BACKENDS",
     "负载均衡总开关；不设置：配置了 LLM_BACKENDS 时启用", true},
    {"load_balance_strategy", true, "", "how a backend is chosen", "负载均衡算法"},
    {"health_check_interval", true, "seconds", "time between two probes of one backend",
     "同一后端两次健康检查的间隔"},
    {"max_retries", true, "tries", "further tries after the first", "首次之后的最大重试次数"},
    {"failure_threshold", true, "failures", "consecutive failures until a backend is unhealthy",
     "连续失败多少次后判为不健康"},

    {"admin_key", false, "", "key of the admin API; not set: it answers to this machine only",
     "管理 API 的密钥；不设置：仅本机可访问"},
    {"metrics_key_required", false, "", "whether the Prometheus metrics need the admin key, too",
     "Prometheus 指标是否也需要管理密钥"},
    {"affinity_header", false, "",
     "consistent_hash: request header that ties requests to one backend, before X-Session-ID and user",
     "consistent_hash：将请求固定到同一后端的请求头，先于 X-Session-ID 和 user"},
    {"model_aliases", false, "", "JSON object: name that a client may use to model_name",
     "JSON 对象：客户端可用的名称到 model_name"},
    {"tls_ca_file", false, "", "PEM file of certificate authorities, trusted beside the system's",
     "CA 证书的 PEM 文件，与系统证书一同受信任"},
    {"hash_key", false, "",
     "what consistent_hash goes by: header (or X-Session-ID), user, the prompt's prefix, or the first there "
     "is",
     "consistent_hash 的依据：请求头（或 X-Session-ID）、user、提示前缀，或其中最先有的一个"},
    {"stream_continuation", false, "",
     "whether the rest of a stream of text that broke is asked of another backend",
     "文本流中断后是否由其他后端续写其余部分"},
    {"comments_count", false, "",
     "whether comments that keep a stream alive (: ping) end a backend's silence; false: only data does",
     "流式响应中保活的注释（: ping）是否算作后端有响应；false：只有数据才算"},
    {"max_body_bytes", false, "bytes", "size of a request's body at most", "请求体的最大字节数"},

    {"retry_on", false, "", "failures that are tried again elsewhere, or none",
     "哪些失败会在其他后端重试，或 none"},
    {"retry_budget_ratio", false, "share", "retries at most, as a share of the requests",
     "重试数占请求数的最大比例"},
    {"retry_budget_min", false, "a second", "retries that are always allowed beside that share",
     "在该比例之外每秒总是允许的重试数"},
    {"retry_budget_window", false, "seconds", "time over which the retry budget is counted",
     "重试预算的统计时间"},
    {"back_off_base", false, "seconds", "first wait before the same backend is tried again",
     "再次尝试同一后端前的首次等待"},
    {"back_off_max", false, "seconds", "longest such wait", "上述等待的最大值"},
    {"hedge_quantile", false, "quantile", "one more try when no first byte came by this latency; 0: off",
     "首字节超过该延迟分位数时再试一次；0：关闭"},
    {"mirror_share", false, "share", "requests also sent to a backend marked as mirror; 0: off",
     "同时镜像到未服务后端的请求比例；0：关闭"},

    {"ejection", false, "", "whether failures of requests make a backend unhealthy",
     "请求失败是否会使后端不健康"},
    {"success_threshold", false, "successes", "successes in a row until a backend is healthy again",
     "连续成功多少次后恢复健康"},
    {"failure_ratio", false, "share", "unhealthy when more of the requests than this failed; 1: off",
     "失败比例超过该值即不健康；1：关闭"},
    {"failure_ratio_requests", false, "requests", "requests at least before the ratio counts",
     "比例生效所需的最少请求数"},
    {"failure_ratio_window", false, "seconds", "time over which the ratio is counted", "失败比例的统计时间"},
    {"base_ejection", false, "seconds", "first time out of service, times the number in a row",
     "首次剔除时长，按连续次数倍增"},
    {"max_ejection", false, "seconds", "longest time out of service", "最长剔除时长"},
    {"ejection_jitter", false, "share", "random addition to the time out of service", "剔除时长的随机增量"},
    {"max_ejected", false, "share", "backends of one model and priority out of service at most",
     "同一模型和优先级中最多可剔除的比例"},
    {"probe_ends_ejection", false, "", "whether a passing probe returns an ejected backend",
     "健康检查通过是否结束剔除"},
    {"rest_default", false, "seconds", "rest after a 429 that does not say how long",
     "429 未说明时长时的暂停时间"},
    {"rest_max", false, "seconds", "longest rest, whatever a 429 says; 0: none rests",
     "无论 429 如何说明，最长的暂停时间；0 表示从不暂停"},
    {"slow_start", false, "seconds", "time in which a returning backend takes a rising share; 0: off",
     "恢复的后端逐步增加流量的时间；0：关闭"},
    {"slow_start_floor", false, "share", "how often a choice of it stands at first; else one more is drawn",
     "起始时选中它后直接采用的比例，否则再抽取一次"},

    {"health_check", false, "", "periodic probes", "定期健康检查"},
    {"health_check_unhealthy_interval", false, "seconds",
     "time between two probes of an unhealthy backend at most", "不健康后端两次检查的最大间隔"},
    {"health_check_timeout", false, "seconds", "time that a probe may take", "单次检查的超时"},
    {"health_check_jitter", false, "share", "random change of the interval", "检查间隔的随机变化"},
    {"health_check_concurrency", false, "probes", "probes under way at most", "同时进行的最大检查数"},
    {"health_check_path", false, "", "path of a probe, behind the backend's base URL",
     "检查的路径，接在后端 URL 之后"},
    {"health_check_status", false, "", "status that a probe must have; 0: any 2xx",
     "检查须得到的状态码；0：任意 2xx"},
    {"health_check_contains", false, "", "text that the body of a probe's answer must contain",
     "检查响应体中必须含有的文本"},

    {"load_monitor", false, "", "periodic scrapes of the engines' metrics for their load",
     "定期抓取推理引擎的指标以了解其负载"},
    {"load_interval", false, "seconds", "time between two scrapes of one backend; longer with many gateways",
     "同一后端两次抓取的间隔；网关多时更长"},
    {"load_path", false, "", "path of the metrics, behind the backend's base URL",
     "指标的路径，接在后端 URL 之后"},
    {"load_headers", false, "", "whether answers are asked to tell the load in their headers (ORCA)",
     "是否要求响应头中给出负载（ORCA）"},

    {"prefix_block_tokens", false, "tokens",
     "prefix_affinity: tokens to a block of a prompt's prefix; 0: as the engines tell, else 16",
     "prefix_affinity：提示前缀每块的 token 数；0：按推理引擎所述，否则为 16"},
    {"prefix_cache_blocks", false, "blocks",
     "prefix_affinity: blocks of the cache of a backend that does not say",
     "prefix_affinity：后端未说明时其缓存的块数"},
    {"prefix_memory", false, "bytes", "prefix_affinity: memory of all that is remembered at most",
     "prefix_affinity：记录所用内存的上限", true},
    {"prefix_learned_speed", false, "",
     "prefix_affinity: whether the speed of each backend is learned, for unlike hardware",
     "prefix_affinity：是否学习各后端的速度（硬件不同时）"},

    {"hash_bounded_load", false, "factor",
     "consistent_hash: nobody gets more than this times its share of the requests under way; 0: off",
     "consistent_hash：任何后端的在途请求不超过其份额的该倍数；0：关闭"},

    {"panic_threshold", false, "share",
     "unhealthy backends serve too when fewer are healthy; 0: when none is",
     "健康比例低于该值时不健康的也参与；0：仅当全不健康"},
    {"overprovisioning", false, "factor", "a priority takes this times its healthy share; 0: off",
     "每个优先级承担其健康比例乘以该值；0：关闭"},
    {"subset_limit", false, "subsets", "subsets by model and tags that are kept ready",
     "按模型和标签预备的子集数"},
    {"subset_memory", false, "bytes", "memory of all their tables together", "所有子集表的总内存"},

    {"queue_limit", false, "requests", "requests waiting for a backend at most", "等待后端的最大请求数"},
    {"queue_timeout", false, "seconds",
     "longest wait; not set: until the request's deadline, in the gateway until the client leaves",
     "最长等待；不设置：直到请求截止，在网关中直到客户端离开"},

    {"timing", false, "",
     "whether latencies and failure ratios are measured; off, told load counts for no choice, its age being "
     "unknown",
     "是否测量延迟和失败比例；关闭时无法得知上报负载的时间，选择时不计入", true},
    {"latency_to", false, "", "where a request's latency ends for the strategies", "策略所用延迟的终点"},
    {"latency_tau", false, "seconds", "time constant with which latencies fade", "延迟衰减的时间常数"},
    {"latency_tau_max", false, "seconds", "the same where requests are few, at most",
     "请求稀少时该常数的最大值"},
    {"gateways", false, "balancers", "how many balancers share the backends", "共用这些后端的均衡器数量"},
    {"seed", false, "", "seed of the random generator; not set: from the system",
     "随机数种子；不设置：取自系统", true},
};

constexpr std::pair<std::string_view, std::string_view> units_in_chinese[] = {
    {"seconds", "秒"},        {"a second", "每秒"},      {"bytes", "字节"},        {"tries", "次数"},
    {"failures", "失败次数"}, {"successes", "成功次数"}, {"requests", "请求数"},   {"probes", "检查数"},
    {"share", "比例"},        {"quantile", "分位数"},    {"factor", "倍数"},       {"tokens", "token 数"},
    {"blocks", "块数"},       {"subsets", "子集数"},     {"balancers", "均衡器数"}};

std::string chinese_of(std::string_view unit) {
    for (const auto& [english, chinese] : units_in_chinese) {
        if (english == unit) return std::string{chinese};
    }
    return std::string{unit};
}

/// Fills in type, default and accepted values from a field of the default `Settings`.
struct DescribeField {
    SettingInfo& info;

    template <std::integral T>
    void operator()(const T& field, const Range& range) const {
        fill(SettingType::whole_number, number_text(static_cast<double>(field)), range.text());
    }
    void operator()(const double& field, const Range& range) const {
        fill(SettingType::number, number_text(field), range.text());
    }
    void operator()(const Duration& field, const Range& range) const {
        const bool set = field != Duration::max();
        fill(SettingType::seconds, set ? number_text(std::chrono::duration<double>(field).count()) : "",
             range.text());
    }
    void operator()(const bool& field) const {
        fill(SettingType::on_off, field ? "true" : "false", "true, false");
    }
    void operator()(const std::string& field) const { fill(SettingType::text, field, ""); }
    void operator()(const RetryOn&) const {
        constexpr const char* all = "connect_error,timeout,server_error,rate_limited";
        fill(SettingType::list, all, std::string{all} + ", none");
    }
    void operator()(const HashKey&) const { fill(SettingType::text, "any", "any, header, user, prefix"); }
    void operator()(const LatencyTo&) const {
        fill(SettingType::text, "first_byte", "first_byte, last_byte");
    }
    void operator()(const std::optional<std::uint64_t>&) const {
        fill(SettingType::whole_number, "", ">= 0");
    }
    void operator()(const std::map<std::string, std::string>&) const {
        fill(SettingType::json, "", "JSON object");
    }

    void fill(SettingType type, std::string by_default, std::string accepted) const {
        info.type = type;
        info.default_text = std::move(by_default);
        info.accepted = std::move(accepted);
    }
};

void describe_by_hand(SettingInfo& info) {
    const DescribeField describe{info};
    if (info.json_name == "llm_backends") {
        describe.fill(SettingType::json, "", "JSON array");
    } else if (info.json_name == "vllm_server_url") {
        describe.fill(SettingType::text, "", "http:// or https:// URL");
    } else if (info.json_name == "load_balance_enabled") {
        describe.fill(SettingType::on_off, "", "true, false");
    } else if (info.json_name == "load_balance_strategy") {
        const auto names = known_strategies();
        describe.fill(SettingType::text, Settings{}.strategy, joined(names));
    } else {
        describe.fill(SettingType::text, "", "");
    }
}

std::vector<SettingInfo> make_setting_list() {
    std::vector<SettingInfo> list;
    const Settings defaults;
    for (const SettingRow& row : setting_rows) {
        SettingInfo info;
        info.name = (row.of_guide ? "" : "FAIRLEAD_") + upper(row.json_name);
        info.json_name = std::string{row.json_name};
        describe_by_hand(info);
        visit_settings(defaults, [&](std::string_view name, const auto&... field) {
            if (name == row.json_name) DescribeField{info}(field...);
        });
        info.unit = std::string{row.unit};
        info.unit_chinese = chinese_of(row.unit);
        info.meaning = std::string{row.english};
        info.meaning_chinese = std::string{row.chinese};
        info.secret =
            row.json_name == "llm_backends" || row.json_name == "api_key" || row.json_name == "admin_key";
        info.needs_restart = row.needs_restart;
        list.push_back(std::move(info));
    }
    return list;
}

const SettingInfo* find_where(std::string_view wanted, std::string SettingInfo::*name) {
    for (const SettingInfo& info : setting_list()) {
        if (info.*name == wanted) return &info;
    }
    return nullptr;
}

/// Compared without prefix, so that who writes FAIRLEAD_MAX_RETRIES or fairlead_queue_limit is told the name.
const SettingInfo& nearest_info(std::string_view wanted) {
    const std::string name = lower(wanted);
    constexpr std::string_view prefix = "fairlead_";
    std::vector<std::string_view> names;
    for (const SettingInfo& info : setting_list()) names.push_back(info.json_name);
    const std::string_view best =
        nearest(name.starts_with(prefix) ? std::string_view{name}.substr(prefix.size()) : name, names);
    return *find_where(best, &SettingInfo::json_name);
}

}  // namespace

const SettingInfo* find_setting(std::string_view name) { return find_where(upper(name), &SettingInfo::name); }

const SettingInfo* find_json_setting(std::string_view json_name) {
    return find_where(lower(json_name), &SettingInfo::json_name);
}

std::string_view nearest_setting(std::string_view name) { return nearest_info(name).name; }

std::string_view nearest_json_setting(std::string_view json_name) {
    return nearest_info(json_name).json_name;
}

std::vector<std::string_view> known_strategies() {
    const auto names = AnyStrategy::names();
    return {names.begin(), names.end()};
}

}  // namespace detail

std::span<const SettingInfo> setting_list() {
    static const std::vector<SettingInfo> list = detail::make_setting_list();
    return list;
}

}  // namespace fairlead
