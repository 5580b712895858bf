// Browser and operating system of a user agent, by the rules of uap-core.
//
// This file holds no server call: the C++ library, yaml-cpp and RE2 are used with their exceptions, which end
// in this file. Takes no lock.
//
// How it is fast: trying some 540 expressions on each agent costs milliseconds. RE2's FilteredRE2 names the
// fixed pieces ("chrome/") that a text must have before a rule can match; an Aho-Corasick automaton finds
// them all in one pass over the agent, and only the rules left are tried, in the order of the file, until the
// first match.
//
// RE2 runs in time linear in the text whatever the rule, so a hostile agent cannot stall the worker. Rules
// are compiled as Latin-1, so that "." is a byte: uap-core's rules are ASCII, and ".{1,300}" is then a tenth
// of the program that it is in UTF-8. A rule that has other characters is compiled as UTF-8. What is captured
// is made valid UTF-8 again by ShortText.
#include "enrich/agents.hpp"

#include <fcntl.h>
#include <re2/filtered_re2.h>
#include <re2/re2.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace mirox::enrich {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kRecheck{60};
constexpr off_t kMaxRulesBytes = 8 << 20;  // regexes.yaml has 200 kB
constexpr int kMaxGroups = 10;             // $0 to $9
constexpr int kMinPieceBytes = 3;          // shorter fixed pieces are in every agent and filter nothing
constexpr std::size_t kCacheSlots = 64;    // the worker keeps resolved agents in a table; this spares a burst

// A rule's program and its cached states. Most rules fit the first bound; the few with long counted
// repetitions are given the second. RE2 falls back to a slower, still linear search when its states do not
// fit.
constexpr std::int64_t kRuleMemory = 128 << 10;
constexpr std::int64_t kLargeRuleMemory = 2 << 20;

struct Failure {
    AgentStatus status;
    std::string message;
};

// Finds all pieces in one pass. Letters match without regard to case, since the pieces come in lower case.
class PieceFinder {
  public:
    explicit PieceFinder(const std::vector<std::string>& pieces) {
        classes_.fill(0);
        for (const std::string& piece : pieces) {
            for (const char c : piece) {
                std::uint8_t& cls = classes_[static_cast<unsigned char>(c)];
                if (cls == 0) cls = static_cast<std::uint8_t>(++class_count_);
            }
        }
        for (int c = 'A'; c <= 'Z'; ++c) classes_[c] = classes_[c - 'A' + 'a'];
        ++class_count_;  // class 0: bytes that are in no piece

        add_node();
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            if (pieces[i].empty()) continue;
            std::uint32_t node = 0;
            for (const char c : pieces[i]) {
                const std::size_t edge = node * class_count_ + classes_[static_cast<unsigned char>(c)];
                if (next_[edge] == 0) {
                    const std::uint32_t made = add_node();
                    next_[edge] = made;
                }
                node = next_[edge];
            }
            piece_[node] = static_cast<std::int32_t>(i);
        }
        link();
    }

    // Calls `found(index)` for each piece at each place where it ends.
    template <typename Found>
    void find(std::string_view text, Found found) const {
        std::uint32_t node = 0;
        for (const char c : text) {
            node = next_[node * class_count_ + classes_[static_cast<unsigned char>(c)]];
            for (std::uint32_t hit = piece_[node] >= 0 ? node : shorter_[node]; hit != 0;
                 hit = shorter_[hit]) {
                found(piece_[hit]);
            }
        }
    }

  private:
    std::uint32_t add_node() {
        next_.resize(next_.size() + class_count_, 0);
        piece_.push_back(-1);
        shorter_.push_back(0);
        return static_cast<std::uint32_t>(piece_.size() - 1);
    }

    // Completes the trie to an automaton, breadth first: each missing edge goes where the longest proper
    // suffix goes.
    void link() {
        std::vector<std::uint32_t> suffix(piece_.size(), 0);
        std::vector<std::uint32_t> queue;
        for (std::size_t cls = 0; cls < class_count_; ++cls) {
            if (next_[cls] != 0) queue.push_back(next_[cls]);
        }
        for (std::size_t at = 0; at < queue.size(); ++at) {
            const std::uint32_t node = queue[at];
            const std::uint32_t back = suffix[node];
            shorter_[node] = piece_[back] >= 0 ? back : shorter_[back];
            for (std::size_t cls = 0; cls < class_count_; ++cls) {
                std::uint32_t& edge = next_[node * class_count_ + cls];
                const std::uint32_t other = next_[back * class_count_ + cls];
                if (edge == 0) {
                    edge = other;
                } else {
                    suffix[edge] = other;
                    queue.push_back(edge);
                }
            }
        }
    }

    std::array<std::uint8_t, 256> classes_;
    std::size_t class_count_ = 0;
    std::vector<std::uint32_t> next_;     // node * class_count_ + class
    std::vector<std::int32_t> piece_;     // the piece that ends at a node, or -1
    std::vector<std::uint32_t> shorter_;  // the nearest node on the suffix path at which a piece ends, or 0
};

// What a rule says of one field: family, then the versions.
constexpr std::size_t kMaxFields = 5;

struct Rule {
    std::array<std::string, kMaxFields> replacement;
    std::array<bool, kMaxFields> replaced{};
    int groups = 0;
};

// The names of a section's fields in regexes.yaml. A field that a rule does not name takes the group of its
// place.
struct SectionForm {
    const char* section;
    std::size_t fields;
    std::array<const char*, kMaxFields> names;
};

constexpr SectionForm kBrowserForm{
    "user_agent_parsers",
    4,
    {"family_replacement", "v1_replacement", "v2_replacement", "v3_replacement", ""}};
constexpr SectionForm kOsForm{
    "os_parsers",
    5,
    {"os_replacement", "os_v1_replacement", "os_v2_replacement", "os_v3_replacement", "os_v4_replacement"}};

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// One section of the rules, ready to match.
class RuleSet {
  public:
    RuleSet(const YAML::Node& root, const SectionForm& form) : fields_(form.fields), filter_(kMinPieceBytes) {
        const YAML::Node section = root[form.section];
        if (!section || !section.IsSequence()) {
            throw Failure{AgentStatus::rules_invalid, std::string("it has no list \"") + form.section + "\""};
        }
        rules_.reserve(section.size());
        for (const YAML::Node& entry : section) add(entry, form);
        if (rules_.empty()) {
            throw Failure{AgentStatus::rules_invalid,
                          std::string("no rule of \"") + form.section + "\" can be used"};
        }
        std::vector<std::string> pieces;
        filter_.Compile(&pieces);
        seen_.assign(pieces.size(), 0);
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            if (is_ascii(pieces[i])) continue;
            // RE2 lowers these by Unicode and we do not: counting them as found is always right.
            assumed_.push_back(static_cast<int>(i));
            pieces[i].clear();
        }
        finder_ = std::make_unique<PieceFinder>(pieces);
        filter_.AllPotentials(assumed_, &candidates_);
        unfiltered_ = candidates_.size();
    }

    std::size_t size() const { return rules_.size(); }
    std::size_t refused() const { return refused_; }
    std::size_t unfiltered() const { return unfiltered_; }

    // Fills `fields` by the first rule that matches; false when none does.
    bool match(std::string_view agent, std::array<std::string, kMaxFields>& fields) {
        found_ = assumed_;
        finder_->find(agent, [this](std::int32_t piece) {
            if (seen_[static_cast<std::size_t>(piece)]) return;
            seen_[static_cast<std::size_t>(piece)] = 1;
            found_.push_back(piece);
        });
        for (const int piece : found_) seen_[static_cast<std::size_t>(piece)] = 0;
        filter_.AllPotentials(found_, &candidates_);
        std::sort(candidates_.begin(), candidates_.end());  // the order of the file decides

        const re2::StringPiece text(agent.data(), agent.size());
        std::array<re2::StringPiece, kMaxGroups> groups;
        for (const int id : candidates_) {
            const Rule& rule = rules_[static_cast<std::size_t>(id)];
            const int count = std::min(rule.groups + 1, kMaxGroups);
            groups.fill({});
            if (!filter_.GetRE2(id).Match(text, 0, text.size(), RE2::UNANCHORED, groups.data(), count))
                continue;
            for (std::size_t i = 0; i < kMaxFields; ++i) {
                fields[i].clear();
                if (i >= fields_) continue;
                if (rule.replaced[i]) {
                    fields[i] = replace(rule.replacement[i], groups, count);
                } else if (static_cast<int>(i) + 1 < count) {
                    fields[i] = std::string(groups[i + 1].data(), groups[i + 1].size());
                }
            }
            return true;
        }
        return false;
    }

  private:
    static std::string replace(std::string_view pattern,
                               const std::array<re2::StringPiece, kMaxGroups>& groups, int count) {
        std::string out;
        for (std::size_t i = 0; i < pattern.size(); ++i) {
            if (pattern[i] == '$' && i + 1 < pattern.size() && pattern[i + 1] >= '1' &&
                pattern[i + 1] <= '9') {
                const int group = pattern[++i] - '0';
                if (group < count) {
                    const auto& part = groups[static_cast<std::size_t>(group)];
                    out.append(part.data(), part.size());
                }
            } else {
                out.push_back(pattern[i]);
            }
        }
        return out;
    }

    void add(const YAML::Node& entry, const SectionForm& form) {
        const YAML::Node regex = entry.IsMap() ? entry["regex"] : YAML::Node();
        if (!entry.IsMap() || !regex || !regex.IsScalar()) {
            throw Failure{AgentStatus::rules_invalid,
                          std::string("an entry of \"") + form.section + "\" has no \"regex\""};
        }
        const std::string& pattern = regex.Scalar();
        RE2::Options options(RE2::Quiet);  // nothing to standard error
        options.set_encoding(is_ascii(pattern) ? RE2::Options::EncodingLatin1 : RE2::Options::EncodingUTF8);
        if (const YAML::Node flag = entry["regex_flag"]; flag && flag.IsScalar()) {
            options.set_case_sensitive(flag.Scalar().find('i') == std::string::npos);
        }
        int id = -1;
        options.set_max_mem(kRuleMemory);
        RE2::ErrorCode code = filter_.Add(pattern, options, &id);
        if (code == RE2::ErrorPatternTooLarge) {
            options.set_max_mem(kLargeRuleMemory);
            code = filter_.Add(pattern, options, &id);
        }
        if (code != RE2::NoError) {
            ++refused_;
            return;
        }
        Rule rule;
        rule.groups = filter_.GetRE2(id).NumberOfCapturingGroups();
        for (std::size_t i = 0; i < form.fields; ++i) {
            const YAML::Node value = entry[form.names[i]];
            if (!value || !value.IsScalar()) continue;
            rule.replaced[i] = true;
            rule.replacement[i] = value.Scalar();
        }
        rules_.push_back(std::move(rule));
    }

    std::size_t fields_;
    re2::FilteredRE2 filter_;
    std::vector<Rule> rules_;  // by FilteredRE2's number
    std::unique_ptr<PieceFinder> finder_;
    std::size_t refused_ = 0;
    std::size_t unfiltered_ = 0;
    std::vector<int> assumed_;        // pieces that are not looked for
    std::vector<std::uint8_t> seen_;  // work space of match()
    std::vector<int> found_;
    std::vector<int> candidates_;
};

struct Rules {
    explicit Rules(const YAML::Node& root) : browsers(root, kBrowserForm), systems(root, kOsForm) {}

    RuleSet browsers;
    RuleSet systems;
};

struct FileMark {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    std::int64_t changed = 0;  // nanoseconds

    bool operator==(const FileMark&) const = default;
};

FileMark mark_of(const struct stat& status) {
    return {status.st_dev, status.st_ino, status.st_size,
            static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string system_error(int number) {
    char buffer[128];
    return strerror_r(number, buffer, sizeof buffer);  // GNU's form: returns the text
}

// Reads a whole regular file. A pipe or device under this name must not stop the worker: hence O_NONBLOCK.
std::string read_rules(const std::string& path, FileMark& mark) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) throw Failure{AgentStatus::rules_unreadable, system_error(errno)};
    struct Closer {
        int file;
        ~Closer() { close(file); }
    } closer{file};
    struct stat status {};
    if (fstat(file, &status) != 0) throw Failure{AgentStatus::rules_unreadable, system_error(errno)};
    if (!S_ISREG(status.st_mode)) throw Failure{AgentStatus::rules_unreadable, "it is not a regular file"};
    if (status.st_size > kMaxRulesBytes) throw Failure{AgentStatus::rules_unreadable, "it is too large"};
    mark = mark_of(status);
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t have = 0;
    while (have < text.size()) {
        const ssize_t got = read(file, text.data() + have, text.size() - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Failure{AgentStatus::rules_unreadable, system_error(errno)};
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    text.resize(have);
    return text;
}

// The part of the rules that is used. The device rules, last in the file and half of it, are not: the
// section's line starts at the margin, so the text can be cut before it.
std::string without_devices(std::string text) {
    static constexpr std::string_view kHead = "\ndevice_parsers:";
    const std::size_t from = text.find(kHead);
    if (from == std::string::npos) return text;
    for (std::size_t at = from + kHead.size(); (at = text.find('\n', at)) != std::string::npos; ++at) {
        const char c = at + 1 < text.size() ? text[at + 1] : '\n';
        if (c != ' ' && c != '\n' && c != '\r' && c != '#' &&
            c != '-') {  // another section follows: keep that
            text.erase(from, at - from);
            return text;
        }
    }
    text.resize(from + 1);
    return text;
}

void put_error(std::span<char> error, const std::string& path, std::string_view why) {
    if (error.empty()) return;
    const int written = std::snprintf(error.data(), error.size(), "user agent rules \"%.*s\": %.*s",
                                      static_cast<int>(utf8_prefix(path, 120)), path.c_str(),
                                      static_cast<int>(utf8_prefix(why, 110)), why.data());
    if (written < 0) error[0] = '\0';
}

void put_error(std::span<char> error, std::string_view why) {
    if (error.empty()) return;
    const std::size_t size = utf8_prefix(why, error.size() - 1);
    std::memcpy(error.data(), why.data(), size);
    error[size] = '\0';
}

constexpr std::size_t kVersionParts = kMaxFields - 1;

// The family, the version with all parts up to the first that is missing, and both for people. For people
// there are three parts at most, and a minor of 0 drops a patch of 0: browsers that freeze their version at
// "126.0.0.0" say nothing by it.
void compose(const std::array<std::string, kMaxFields>& fields, ShortText<64>& shown, ShortText<64>& family,
             ShortText<32>& version) {
    family.assign_clean(fields[0]);
    if (family.view() == "Other") family.clear();
    if (family.empty()) return;

    std::array<ShortText<32>, kVersionParts> parts{};
    std::size_t count = 0;
    for (std::size_t at = 1; at <= kVersionParts; ++at) {
        // A rule may take a part with the dot before it, `(\.(\d+)|)`: the part alone, in the group within, comes next then.
        std::string_view part = fields[at];
        const bool dotted = part.starts_with('.');
        while (part.starts_with('.')) part.remove_prefix(1);
        if (dotted && at < kVersionParts && fields[at + 1] == part) ++at;
        parts[count].assign_clean(part);
        if (parts[count].empty()) break;
        ++count;
    }
    const auto join = [&](auto& out, std::size_t first_separator, std::size_t wanted) {
        for (std::size_t i = 0; i < wanted; ++i) {
            const std::uint8_t before = out.size;
            if (i > 0 || first_separator) {
                if (!out.append(i == 0 ? " " : ".")) return;
            }
            if (!out.append(parts[i].view())) {
                out.size = before;
                return;
            }
        }
    };
    join(version, 0, count);
    std::size_t wanted = std::min<std::size_t>(count, 3);
    if (wanted == 3 && parts[1].view() == "0" && parts[2].view() == "0") wanted = 2;
    shown = family;
    join(shown, 1, wanted);
}

struct CacheSlot {
    std::uint64_t hash = 0;
    std::uint16_t size = 0;
    bool used = false;
    char agent[kMaxAgentBytes];
    AgentInfo info;
};

}  // namespace

struct AgentParser {
    std::string path;
    std::unique_ptr<Rules> rules;
    AgentRules counts;
    FileMark mark;
    bool checked = false;
    Clock::time_point next_check;
    AgentStatus last_status = AgentStatus::ok;
    std::string last_error;
    std::unique_ptr<CacheSlot[]> cache;
    std::array<std::string, kMaxFields> fields;
};

namespace {

void load(AgentParser& parser) {
    FileMark mark;
    struct stat status {};
    if (parser.rules && stat(parser.path.c_str(), &status) == 0 && mark_of(status) == parser.mark) return;

    const auto started = Clock::now();
    std::string text = without_devices(read_rules(parser.path, mark));
    // yaml-cpp ends its text at a zero byte, which would hide rules without a word.
    if (text.find('\0') != std::string::npos) throw Failure{AgentStatus::rules_invalid, "it has a zero byte"};
    std::unique_ptr<Rules> rules;
    try {
        const YAML::Node root = YAML::Load(text);
        if (!root.IsMap()) throw Failure{AgentStatus::rules_invalid, "it is not a map of rules"};
        rules = std::make_unique<Rules>(root);
    } catch (const YAML::Exception& e) {
        throw Failure{AgentStatus::rules_invalid, e.what()};
    }
    auto cache = std::make_unique<CacheSlot[]>(kCacheSlots);

    parser.rules = std::move(rules);
    parser.cache = std::move(cache);
    parser.mark = mark;
    AgentRules& counts = parser.counts;
    counts.browser_rules = static_cast<std::uint32_t>(parser.rules->browsers.size());
    counts.os_rules = static_cast<std::uint32_t>(parser.rules->systems.size());
    counts.refused_rules =
        static_cast<std::uint32_t>(parser.rules->browsers.refused() + parser.rules->systems.refused());
    counts.unfiltered_rules =
        static_cast<std::uint32_t>(parser.rules->browsers.unfiltered() + parser.rules->systems.unfiltered());
    counts.load_microseconds = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started).count());
    ++counts.loads;
}

// Tries to load, and remembers how it ended. Throws nothing.
AgentStatus try_load(AgentParser& parser) noexcept {
    try {
        parser.checked = true;
        parser.next_check = Clock::now() + kRecheck;
        load(parser);
        parser.last_status = AgentStatus::ok;
        parser.last_error.clear();
        return AgentStatus::ok;
    } catch (const Failure& failure) {
        parser.last_status = failure.status;
        try {
            parser.last_error = failure.message;
        } catch (...) {
            parser.last_error.clear();
        }
    } catch (const std::bad_alloc&) {
        parser.last_status = AgentStatus::out_of_memory;
        parser.last_error.clear();
    } catch (...) {
        parser.last_status = AgentStatus::rules_invalid;
        parser.last_error.clear();
    }
    return parser.last_status;
}

void tell(const AgentParser& parser, AgentStatus status, std::span<char> error) noexcept {
    std::string_view why = parser.last_error;
    if (why.empty()) why = status == AgentStatus::out_of_memory ? "out of memory" : "cannot be used";
    put_error(error, parser.path, why);
}

}  // namespace

AgentParser* open_agents(std::string_view path) noexcept {
    try {
        auto parser = std::make_unique<AgentParser>();
        parser->path = path;
        return parser.release();
    } catch (...) {
        return nullptr;
    }
}

void close_agents(AgentParser* parser) noexcept {
    delete parser;
}

AgentStatus load_agent_rules(AgentParser& parser, AgentRules* rules, std::span<char> error) noexcept {
    if (!error.empty()) error[0] = '\0';
    const AgentStatus status = try_load(parser);
    if (status != AgentStatus::ok) tell(parser, status, error);
    if (rules != nullptr) *rules = parser.counts;
    return status;
}

AgentStatus resolve_agent(AgentParser& parser, std::string_view agent, AgentInfo& info,
                          std::span<char> error) noexcept {
    info = AgentInfo{};
    if (!error.empty()) error[0] = '\0';
    agent = agent.substr(0, utf8_prefix(agent, kMaxAgentBytes));
    if (agent.empty()) return AgentStatus::ok;
    if (!parser.checked || Clock::now() >= parser.next_check) try_load(parser);
    if (!parser.rules) {
        tell(parser, parser.last_status, error);
        return parser.last_status;
    }
    try {
        const std::uint64_t hash = std::hash<std::string_view>{}(agent);
        CacheSlot& slot = parser.cache[hash % kCacheSlots];
        if (slot.used && slot.hash == hash && agent == std::string_view(slot.agent, slot.size)) {
            info = slot.info;
            return AgentStatus::ok;
        }
        if (parser.rules->browsers.match(agent, parser.fields)) {
            compose(parser.fields, info.browser, info.browser_family, info.browser_version);
        }
        if (parser.rules->systems.match(agent, parser.fields)) {
            compose(parser.fields, info.os, info.os_family, info.os_version);
        }
        slot.used = true;
        slot.hash = hash;
        slot.size = static_cast<std::uint16_t>(agent.size());
        std::memcpy(slot.agent, agent.data(), agent.size());
        slot.info = info;
        return AgentStatus::ok;
    } catch (...) {  // nothing but memory can fail here
        info = AgentInfo{};
        put_error(error, "user agent rules: out of memory");
        return AgentStatus::out_of_memory;
    }
}

}  // namespace mirox::enrich
