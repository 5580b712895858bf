// Browser and operating system of a user agent, by the rules of uap-core (see agents.hpp).
//
// Holds no server call: yaml-cpp and RE2 are used with the C++ library's exceptions, which end in this file. Takes no lock.
//
// Each agent is resolved only once, so the rules are tried in the order of the file until the first match. RE2 takes time linear
// in the text, whatever the rule. The length of an agent and the number of rules are bounded, and so is the time for one agent:
// neither an agent nor a rule file can block the worker.
#include "enrich/agents.hpp"

#include <re2/re2.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "enrich/file.hpp"

namespace mirox::enrich {
namespace {

constexpr off_t kMostRulesBytes = 8 << 20;    // regexes.yaml has 200 kB
constexpr std::size_t kMostRules = 2000;      // of a kind; it has 347
constexpr std::size_t kMostAgentBytes = 512;  // what is stored of an agent
constexpr std::size_t kMostPartBytes = 32;    // of a part of a version

// Processor time for one agent. After that it counts as an agent that no rule matches.
constexpr std::clock_t kMostTime = CLOCKS_PER_SEC;

// Memory for a rule's program and the states that RE2 keeps. When they do not fit, RE2 uses a slower search that is still linear.
constexpr std::int64_t kRuleMemory = 256 << 10;

// The fields that a rule gives: the family, then the parts of the version.
constexpr std::size_t kMostFields = 5;
using Fields = std::array<std::string, kMostFields>;

// A kind of rules, with the names of its fields in the rule file.
struct Kind {
    const char* name;
    std::array<const char*, kMostFields> fields;  // null: none
};
constexpr Kind kBrowsers{"user_agent_parsers",
                         {"family_replacement", "v1_replacement", "v2_replacement", "v3_replacement", nullptr}};
constexpr Kind kSystems{"os_parsers",
                        {"os_replacement", "os_v1_replacement", "os_v2_replacement", "os_v3_replacement", "os_v4_replacement"}};

struct Rule {
    std::unique_ptr<RE2> regex;
    // The text of each field in RE2's form; without one, the field is the group with its number.
    std::array<std::optional<std::string>, kMostFields> replacement;
};

struct Rules {
    std::vector<Rule> browsers, systems;
};

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Rules are compiled as Latin-1, so that "." is a byte: the rules of uap-core are ASCII, and the program of ".{1,300}" is then a
// tenth of its size in UTF-8. A rule with other characters is compiled as UTF-8. Text makes captured bytes valid UTF-8 again.
std::unique_ptr<RE2> compiled(const std::string& pattern, const YAML::Node& flag) {
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(kRuleMemory);
    options.set_encoding(is_ascii(pattern) ? RE2::Options::EncodingLatin1 : RE2::Options::EncodingUTF8);
    if (flag && flag.IsScalar()) options.set_case_sensitive(flag.Scalar().find('i') == std::string::npos);
    return std::make_unique<RE2>(pattern, options);
}

std::vector<Rule> rules_of(const YAML::Node& root, const Kind& kind) {
    const YAML::Node list = root[kind.name];
    const auto invalid = [&](const char* why) {
        return Failure{Status::invalid, std::string("its list \"") + kind.name + "\" " + why};
    };
    if (!list || !list.IsSequence()) throw invalid("is missing");
    if (list.size() > kMostRules) throw invalid("is too long");
    const RE2 backslash(R"(\\)"), group(R"(\$([1-9]))");
    std::vector<Rule> rules;
    for (const YAML::Node& entry : list) {
        const YAML::Node pattern = entry.IsMap() ? entry["regex"] : YAML::Node();
        if (!pattern || !pattern.IsScalar()) throw invalid("has an entry without \"regex\"");
        Rule rule{compiled(pattern.Scalar(), entry["regex_flag"]), {}};
        if (!rule.regex->ok()) continue;  // look-around and back references, which RE2 does not have
        for (std::size_t i = 0; i < kMostFields && kind.fields[i] != nullptr; ++i) {
            const YAML::Node value = entry[kind.fields[i]];
            if (!value || !value.IsScalar()) continue;
            std::string& text = rule.replacement[i].emplace(value.Scalar());
            RE2::GlobalReplace(&text, backslash, R"(\\\\)");
            RE2::GlobalReplace(&text, group, R"(\\\1)");
        }
        rules.push_back(std::move(rule));
    }
    if (rules.empty()) throw invalid("has no rule that can be used");
    return rules;
}

std::unique_ptr<Rules> read_rules(const Descriptor& file, std::size_t) {
    std::ifstream in(file.path(), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    // yaml-cpp stops reading at a zero byte, which would silently hide rules.
    if (text.find('\0') != std::string::npos) throw Failure{Status::invalid, "it has a zero byte"};
    try {
        const YAML::Node root = YAML::Load(text);
        if (!root.IsMap()) throw Failure{Status::invalid, "it is not a map of rules"};
        return std::make_unique<Rules>(Rules{rules_of(root, kBrowsers), rules_of(root, kSystems)});
    } catch (const YAML::Exception& e) {
        throw Failure{Status::invalid, e.what()};
    }
}

// Fills the fields from the first rule that matches. False when none does.
bool match(const std::vector<Rule>& rules, std::string_view agent, std::clock_t until, Fields& fields) {
    const re2::StringPiece text(agent.data(), agent.size());
    std::array<re2::StringPiece, 10> groups;  // $0 to $9, empty where the rule has none
    for (const Rule& rule : rules) {
        if (std::clock() > until) return false;
        if (!rule.regex->Match(text, 0, text.size(), RE2::UNANCHORED, groups.data(), groups.size())) continue;
        for (std::size_t i = 0; i < kMostFields; ++i) {
            fields[i].clear();
            if (rule.replacement[i])
                rule.regex->Rewrite(&fields[i], *rule.replacement[i], groups.data(), groups.size());
            else
                fields[i].assign(groups[i + 1].data(), groups[i + 1].size());
        }
        return true;
    }
    return false;
}

// The family and up to three parts of the version, up to the first missing part. After a minor version of 0 a patch of 0 is
// dropped too: browsers that freeze their version at "126.0.0.0" mean nothing by it.
void compose(const Fields& fields, Text& out) {
    out.assign(fields[0]);
    if (out.view() == "Other") out = {};
    if (out.size == 0) return;
    std::vector<std::string> parts;
    for (std::size_t at = 1; at < kMostFields && parts.size() < 3; ++at) {
        // A rule may capture a part with the dot before it, `(\.(\d+)|)`. The part alone, from the inner group, comes next then.
        std::string_view part = fields[at];
        const bool dotted = part.starts_with('.');
        while (part.starts_with('.')) part.remove_prefix(1);
        if (dotted && at + 1 < kMostFields && fields[at + 1] == part) ++at;
        char clean[kMostPartBytes];
        const std::size_t size = Text::clean(part, clean);
        if (size == 0) break;
        parts.emplace_back(clean, size);
    }
    if (parts.size() == 3 && parts[1] == "0" && parts[2] == "0") parts.pop_back();
    char separator = ' ';
    for (const std::string& part : parts) {
        if (out.size + 1 + part.size() > sizeof out.bytes) break;
        out.bytes[out.size++] = separator;
        out.size += static_cast<std::uint8_t>(part.copy(out.bytes + out.size, part.size()));
        separator = '.';
    }
}

}  // namespace

struct Agents {
    FromFile<Rules> file;
};

Agents* open_agents(const char* path) noexcept {
    try {
        return new Agents{{path, kMostRulesBytes}};
    } catch (...) {
        return nullptr;
    }
}

void close_agents(Agents* agents) noexcept {
    delete agents;
}

Status resolve_agent(Agents& agents, std::string_view agent, AgentInfo& info, std::span<char> why) noexcept {
    info = {};
    const Status status = agents.file.refresh(read_rules, why);
    const Rules* const rules = agents.file.get();
    if (rules == nullptr) return status;
    agent = agent.substr(0, kMostAgentBytes);
    const std::clock_t until = std::clock() + kMostTime;
    try {
        Fields fields;
        if (match(rules->browsers, agent, until, fields)) compose(fields, info.browser);
        if (match(rules->systems, agent, until, fields)) compose(fields, info.os);
    } catch (...) {  // only an allocation can fail here
        info = {};
    }
    return Status::ok;
}

}  // namespace mirox::enrich
