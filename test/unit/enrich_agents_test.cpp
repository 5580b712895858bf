// Browser and operating system of user agents, against uap-core's own cases (Debian package uap-core): each
// case names the expected family and version, so the expected values come from the rules' authors. What
// differs is listed with its reason in data/enrich_agents_differences.txt, and the list must be exact.
#include "enrich/agents.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#ifndef MIROX_SOURCE_DIR
#error "MIROX_SOURCE_DIR must name the tree"
#endif

namespace {

using namespace mirox::enrich;
namespace fs = std::filesystem;

const std::string kUapCore = "/usr/share/uap-core/";
const std::string kDifferences = MIROX_SOURCE_DIR "/test/unit/data/enrich_agents_differences.txt";

struct Agents {
    explicit Agents(const std::string& path = kAgentRulesPath) : parser(open_agents(path)) {}
    ~Agents() { close_agents(parser); }
    Agents(const Agents&) = delete;
    Agents& operator=(const Agents&) = delete;

    AgentInfo resolve(std::string_view agent, AgentStatus expected = AgentStatus::ok) {
        AgentInfo info{};
        EXPECT_EQ(resolve_agent(*parser, agent, info, error), expected) << error;
        return info;
    }

    AgentParser* parser;
    char error[kAgentErrorBytes] = "";
};

// A file in a folder of its own, both gone at the end.
struct TemporaryFile {
    TemporaryFile() {
        char folder[] = "/tmp/mirox_enrich_XXXXXX";
        if (mkdtemp(folder) == nullptr) std::abort();
        directory = folder;
        path = directory + "/rules.yaml";
    }
    ~TemporaryFile() { fs::remove_all(directory); }
    void write(std::string_view text) const {
        const std::string fresh = path + ".new";
        std::ofstream(fresh, std::ios::binary) << text;
        fs::rename(fresh, path);
    }
    std::string directory;
    std::string path;
};

std::string scalar(const YAML::Node& node) {
    return node && node.IsScalar() ? node.Scalar() : std::string();
}

struct Case {
    std::string agent, family, version;
};

// Browsers have three parts of a version and operating systems four, by the specification and by uap-core's
// own test.js; some browser cases name a fourth, which neither looks at.
std::vector<Case> cases_of(const std::string& file, bool browser) {
    std::vector<Case> cases;
    for (const YAML::Node& node : YAML::LoadFile(kUapCore + file)["test_cases"]) {
        Case c{scalar(node["user_agent_string"]), scalar(node["family"]), ""};
        if (c.family == "Other") c.family.clear();
        for (const std::string part : {"major", "minor", "patch", "patch_minor"}) {
            if (browser && part == "patch_minor") break;
            const std::string value = scalar(node[part]);
            if (value.empty()) break;
            if (!c.version.empty()) c.version += '.';
            c.version += value;
        }
        cases.push_back(std::move(c));
    }
    return cases;
}

struct Tally {
    std::size_t cases = 0, families = 0, versions = 0;
};

// kind, what was expected, what came, the agent
using Difference = std::tuple<std::string, std::string, std::string, std::string>;

std::set<Difference> listed_differences(std::size_t& without_reason) {
    std::set<Difference> listed;
    std::ifstream in(kDifferences);
    EXPECT_TRUE(in) << kDifferences;
    without_reason = 0;
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::vector<std::string> columns(1);
        for (const char c : line) {
            if (c == '\t') {
                columns.emplace_back();
            } else {
                columns.back() += c;
            }
        }
        EXPECT_EQ(columns.size(), 5u) << line;
        if (columns.size() != 5) continue;
        if (columns[4].size() < 10) ++without_reason;
        listed.emplace(columns[0], columns[1], columns[2], columns[3]);
    }
    return listed;
}

TEST(WorkerEnrichAgent, AgreesWithTheCasesOfUapCore) {
    Agents agents;
    std::set<Difference> found;
    const auto run = [&](const char* kind, bool browser, std::initializer_list<const char*> files) {
        Tally tally;
        for (const char* file : files) {
            for (const Case& c : cases_of(file, browser)) {
                const AgentInfo info = agents.resolve(c.agent);
                const std::string_view family = browser ? info.browser_family.view() : info.os_family.view();
                const std::string_view version =
                    browser ? info.browser_version.view() : info.os_version.view();
                ++tally.cases;
                tally.families += family == c.family;
                tally.versions += family == c.family && version == c.version;
                if (family != c.family || version != c.version) {
                    found.emplace(kind, c.family + " | " + c.version,
                                  std::string(family) + " | " + std::string(version), c.agent);
                }
            }
        }
        std::cout << kind << ": " << tally.cases << " cases, " << tally.families << " families and "
                  << tally.versions << " families with version right\n";
        return tally;
    };
    const Tally browsers =
        run("browser", true,
            {"tests/test_ua.yaml", "test_resources/firefox_user_agent_strings.yaml",
             "test_resources/opera_mini_user_agent_strings.yaml",
             "test_resources/podcasting_user_agent_strings.yaml", "test_resources/pgts_browser_list.yaml"});
    const Tally systems = run("os", false, {"tests/test_os.yaml", "test_resources/additional_os_tests.yaml"});

    std::size_t without_reason = 0;
    EXPECT_EQ(found, listed_differences(without_reason));
    EXPECT_EQ(without_reason, 0u);

    EXPECT_GE(browsers.families * 100, browsers.cases * 99);
    EXPECT_GE(systems.families * 100, systems.cases * 99);
    if (fs::file_size(kAgentRulesPath) == 203689) {  // uap-core 0.16.0, for which these numbers were counted
        EXPECT_EQ(browsers.cases, 14515u);
        EXPECT_EQ(browsers.families, 14515u);
        EXPECT_EQ(browsers.versions, 14515u);
        EXPECT_EQ(systems.cases, 479u);
        EXPECT_EQ(systems.families, 479u);
        EXPECT_EQ(systems.versions, 479u);
        AgentRules rules;
        ASSERT_EQ(load_agent_rules(*agents.parser, &rules, agents.error), AgentStatus::ok) << agents.error;
        EXPECT_EQ(rules.browser_rules, 347u);
        EXPECT_EQ(rules.os_rules, 190u);
        EXPECT_EQ(rules.refused_rules, 0u);
    }
}

TEST(WorkerEnrichAgent, GivesTextForPeople) {
    struct {
        const char *agent, *browser, *os;
    } const cases[] = {
        {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
         "Safari/537.36",
         "Chrome 126.0", "Windows 10"},
        {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.78 "
         "Safari/537.36",
         "Chrome 60.0.3112", "Linux"},
        {"curl/8.5.0", "curl 8.5.0", ""},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "FxiOS/123.0.1 Mobile/15E148 Safari/605.1.15",
         "Firefox iOS 123.0.1", "iOS 17.3"},
        {"FxiOS/123.0", "Firefox iOS 123.0", ""},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/17.4 Mobile/15E148 Safari/604.1",
         "Mobile Safari 17.4", "iOS 17.4"},
        {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
         "Firefox 127.0", "Mac OS X 10.15"},
        {"python-requests/2.31.0", "Python Requests 2.31", ""},
        {"Ace Explorer", "", ""},
        {"", "", ""},
    };
    Agents agents;
    for (int round = 0; round < 2; ++round) {  // the second is answered from the cache
        for (const auto& c : cases) {
            const AgentInfo info = agents.resolve(c.agent);
            EXPECT_EQ(info.browser.view(), c.browser) << c.agent;
            EXPECT_EQ(info.os.view(), c.os) << c.agent;
        }
    }
}

// Rules of our own, to see the specification's words one by one.
constexpr char kRules[] = R"(# a comment
user_agent_parsers:
  - regex: '(Fox|Hare)/(\d+)\.(\d+)(?:\.(\w+))?'
  - regex: 'Fox'
    family_replacement: 'Never reached with a version'
  - regex: '(cat) (\S+) (\S+) (\S+)'
    family_replacement: 'Wild $1'
    v1_replacement: '$2$3'
    v2_replacement: 'x$4'
    v3_replacement: '$9'
  - regex: 'loud(ly)?'
    regex_flag: 'i'
    family_replacement: ' Loud$1 '
  - regex: '(Nest)/(\d+)\.(\d+)(\.(\d+)|)'
  - regex: '(Pair)/(\d+)(\.(\d+)|)'
  - regex: '(Dots)/(\d+)(\.\.\d+)'
  - regex: 'nofamily'
    family_replacement: 'Other'
    v1_replacement: '7'
  - regex: '(?=ahead)ahead'
    family_replacement: 'Look-ahead'
  - regex: '(same)\1'
  - regex: '(É[a-zé]+)/(\d+)'
  - regex: '^long (.*) v(.*)$'
device_parsers:
  - regex: '((((('
os_parsers:
  - regex: '(Sys) (\d)(\d)(\d)(\d)'
  - regex: 'zero (\d+)\.(\d+)\.(\d+)\.(\d+)'
    os_replacement: 'Zero'
    os_v1_replacement: '$1'
    os_v2_replacement: '$2'
    os_v3_replacement: '$3'
    os_v4_replacement: '$4'
)";

TEST(WorkerEnrichAgent, FollowsTheSpecification) {
    TemporaryFile file;
    file.write(kRules);
    Agents agents(file.path);
    AgentRules rules;
    ASSERT_EQ(load_agent_rules(*agents.parser, &rules, agents.error), AgentStatus::ok) << agents.error;
    EXPECT_EQ(rules.browser_rules, 10u);
    EXPECT_EQ(rules.os_rules, 2u);
    EXPECT_EQ(rules.refused_rules, 2u);  // look-ahead and back reference; device rules are not read
    EXPECT_EQ(rules.loads, 1u);

    struct {
        const char *agent, *family, *version, *shown;
    } const browsers[] = {
        {"a Fox/1.2 b", "Fox", "1.2", "Fox 1.2"},
        {"Hare/1.2.3b", "Hare", "1.2.3b", "Hare 1.2.3b"},
        {"Hare/9.0.0", "Hare", "9.0.0", "Hare 9.0"},
        {"Fox", "Never reached with a version", "", "Never reached with a version"},
        {"fox/1.2", "", "", ""},
        // A group that holds the dot before a part, and a group within for the part alone.
        {"Pair/1", "Pair", "1", "Pair 1"},
        {"Pair/1.2", "Pair", "1.2", "Pair 1.2"},
        {"Nest/1.2", "Nest", "1.2", "Nest 1.2"},
        {"Nest/1.2.3", "Nest", "1.2.3", "Nest 1.2.3"},
        {"Nest/1.0.0", "Nest", "1.0.0", "Nest 1.0"},
        {"Dots/1..2", "Dots", "1.2", "Dots 1.2"},
        {"cat a b c", "Wild cat", "ab.xc", "Wild cat ab.xc"},
        {"lOUD", "Loud", "", "Loud"},
        {"LOUDLY", "LoudLY", "", "LoudLY"},
        {"nofamily", "", "", ""},
        {"ahead", "", "", ""},
        {"samesame", "", "", ""},
        {"Élan/4", "Élan", "4", "Élan 4"},
        {"élan/4", "", "", ""},
    };
    for (const auto& c : browsers) {
        const AgentInfo info = agents.resolve(c.agent);
        EXPECT_EQ(info.browser_family.view(), c.family) << c.agent;
        EXPECT_EQ(info.browser_version.view(), c.version) << c.agent;
        EXPECT_EQ(info.browser.view(), c.shown) << c.agent;
        EXPECT_TRUE(info.os.empty());
    }
    EXPECT_EQ(agents.resolve("Sys 1234").os_version.view(), "1.2.3.4");
    EXPECT_EQ(agents.resolve("Sys 1234").os.view(), "Sys 1.2.3");
    EXPECT_EQ(agents.resolve("zero 10.0.0.5").os.view(), "Zero 10.0");
    EXPECT_EQ(agents.resolve("zero 10.0.0.5").os_version.view(), "10.0.0.5");
}

std::string repeated(std::string_view piece, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += piece;
    return out;
}

bool well_formed(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = utf8_character(text, at);
        if (length == 0 ||
            (length == 1 && (static_cast<unsigned char>(text[at]) < 0x20 || text[at] == 0x7F))) {
            return false;
        }
        at += length;
    }
    return true;
}

TEST(WorkerEnrichAgent, BoundsWhatItGives) {
    TemporaryFile file;
    file.write(kRules);
    Agents agents(file.path);
    AgentInfo info = agents.resolve("long " + repeated("é", 100) + " v1");
    EXPECT_EQ(info.browser.view(), repeated("é", 32));
    EXPECT_EQ(info.browser_family.view(), repeated("é", 32));
    info = agents.resolve("long " + repeated("€", 100) + " v1");
    EXPECT_EQ(info.browser_family.view(), repeated("€", 21));  // 63 bytes; the next would not be whole
    // A version that does not fit beside the family is left out whole.
    info = agents.resolve("long " + repeated("x", 62) + " v12");
    EXPECT_EQ(info.browser.view(), repeated("x", 62));
    EXPECT_EQ(info.browser_version.view(), "12");
    info = agents.resolve("long " + repeated("x", 61) + " v12");
    EXPECT_EQ(info.browser.view(), repeated("x", 61) + " 12");
    // Bytes that are no UTF-8, and control characters.
    info = agents.resolve("long a\xff\xc3(\x07\xc2\x85\xed\xa0\x80z v1");
    EXPECT_EQ(info.browser_family.view(), std::string("a") + repeated("?", 2) + "(" + repeated("?", 5) + "z");
    // 512 bytes are looked at, cut between characters.
    info = agents.resolve(repeated(" ", 506) + "Fox/1.2");
    EXPECT_EQ(info.browser_family.view(), "Never reached with a version");
    info = agents.resolve(repeated(" ", 505) + "Fox/1.2");
    EXPECT_EQ(info.browser.view(), "Fox 1.2");
    info = agents.resolve(repeated("é", 100000) + "Fox/1.2");
    EXPECT_TRUE(info.browser.empty());
}

TEST(WorkerEnrichAgent, StandsHostileAgents) {
    std::vector<std::string> agents_seen;
    for (const Case& c : cases_of("tests/test_ua.yaml", true)) agents_seen.push_back(c.agent);
    Agents agents;
    std::uint64_t state = 20240607;
    const auto random = [&state](std::size_t below) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::size_t>((state >> 33) % below);
    };
    for (int round = 0; round < 1500; ++round) {
        std::string agent;
        while (agent.size() <
               600) {  // pieces of real agents, so that many rules are tried; some bytes spoilt
            const std::string& real = agents_seen[random(agents_seen.size())];
            agent += real.substr(random(real.size() + 1), 3 + random(30));
            if (random(4) == 0) agent += static_cast<char>(random(256));
        }
        const AgentInfo info = agents.resolve(agent);
        for (const std::string_view text :
             {info.browser.view(), info.browser_family.view(), info.browser_version.view(), info.os.view(),
              info.os_family.view(), info.os_version.view()}) {
            ASSERT_TRUE(well_formed(text)) << agent;
            ASSERT_LE(text.size(), 64u);
        }
        ASSERT_EQ(agents.resolve(agent).browser.view(), info.browser.view());
    }
    for (int byte = 0; byte < 256; ++byte) agents.resolve(std::string(512, static_cast<char>(byte)));
}

TEST(WorkerEnrichAgent, SaysWhyItCannotReadTheRules) {
    TemporaryFile file;
    struct {
        std::string text;
        AgentStatus status;
        const char* why;
    } const cases[] = {
        {"", AgentStatus::rules_invalid, "not a map"},
        {"just words", AgentStatus::rules_invalid, "not a map"},
        {"a: [1, 2", AgentStatus::rules_invalid, "yaml-cpp"},
        {"user_agent_parsers:\n  - regex: 'a'\n", AgentStatus::rules_invalid, "os_parsers"},
        {"user_agent_parsers: 5\nos_parsers: []\n", AgentStatus::rules_invalid, "user_agent_parsers"},
        {"user_agent_parsers: []\nos_parsers: []\n", AgentStatus::rules_invalid, "no rule"},
        {"user_agent_parsers: [{regex: '(?=a)'}]\nos_parsers: [{regex: a}]\n", AgentStatus::rules_invalid,
         "no rule"},
        {"user_agent_parsers: [5]\nos_parsers: [{regex: a}]\n", AgentStatus::rules_invalid, "regex"},
        {"user_agent_parsers: [{regex: [a]}]\nos_parsers: [{regex: a}]\n", AgentStatus::rules_invalid,
         "regex"},
        {std::string("a: b\0c", 6), AgentStatus::rules_invalid, "zero byte"},
        {std::string(200000, '['), AgentStatus::rules_invalid, "yaml-cpp"},
        {repeated("- ", 100000), AgentStatus::rules_invalid, "yaml-cpp"},
        {repeated("{a: ", 100000), AgentStatus::rules_invalid, "yaml-cpp"},
        {repeated("? ", 100000), AgentStatus::rules_invalid, "yaml-cpp"},
        {"a: " + std::string(9 << 20, 'x'), AgentStatus::rules_unreadable, "too large"},
        {"\xff\xfe\x00\x01garbage", AgentStatus::rules_invalid, ""},
    };
    for (const auto& c : cases) {
        file.write(c.text);
        Agents agents(file.path);
        const AgentInfo info = agents.resolve("curl/8.5.0", c.status);
        EXPECT_TRUE(info.browser.empty());
        EXPECT_NE(std::string_view(agents.error).find(c.why), std::string_view::npos) << agents.error;
        EXPECT_NE(std::string_view(agents.error).find(file.path), std::string_view::npos) << agents.error;
        char tiny[4] = {'#', '#', '#', '#'};
        AgentInfo again{};
        EXPECT_EQ(resolve_agent(*agents.parser, "curl/8.5.0", again, tiny), c.status);
        EXPECT_EQ(tiny[3], '\0');
        EXPECT_EQ(resolve_agent(*agents.parser, "curl/8.5.0", again, {}), c.status);
    }

    Agents missing(file.directory + "/none.yaml");
    missing.resolve("curl/8.5.0", AgentStatus::rules_unreadable);
    EXPECT_NE(std::string_view(missing.error).find("No such file"), std::string_view::npos) << missing.error;
    missing.resolve("");  // nothing to resolve needs no rules

    Agents folder(file.directory);
    folder.resolve("curl/8.5.0", AgentStatus::rules_unreadable);

    // A pipe that nobody writes to must not hold the worker.
    const std::string pipe = file.directory + "/pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    Agents piped(pipe);
    piped.resolve("curl/8.5.0", AgentStatus::rules_unreadable);
    EXPECT_NE(std::string_view(piped.error).find("regular"), std::string_view::npos) << piped.error;

    Agents long_path("/" + std::string(5000, 'p'));
    long_path.resolve("curl/8.5.0", AgentStatus::rules_unreadable);
    EXPECT_LT(std::string_view(long_path.error).size(), kAgentErrorBytes);
}

TEST(WorkerEnrichAgent, ReadsChangedRulesAndKeepsOldOnesWhenTheyBreak) {
    TemporaryFile file;
    const std::string head = "os_parsers:\n  - regex: 'x'\n    os_replacement: X\nuser_agent_parsers:\n";
    Agents agents(file.path);
    AgentRules rules;
    EXPECT_EQ(load_agent_rules(*agents.parser, &rules, agents.error), AgentStatus::rules_unreadable);
    EXPECT_EQ(rules.loads, 0u);

    file.write(head + "  - regex: 'x'\n    family_replacement: One\n");
    EXPECT_EQ(load_agent_rules(*agents.parser, &rules, agents.error), AgentStatus::ok);
    EXPECT_EQ(agents.resolve("x").browser.view(), "One");
    EXPECT_EQ(load_agent_rules(*agents.parser, &rules, agents.error), AgentStatus::ok);
    EXPECT_EQ(rules.loads, 1u);  // nothing changed, nothing read

    file.write(head + "  - regex: 'x'\n    family_replacement: Two\n");
    EXPECT_EQ(load_agent_rules(*agents.parser, &rules, agents.error), AgentStatus::ok);
    EXPECT_EQ(rules.loads, 2u);
    EXPECT_EQ(agents.resolve("x").browser.view(), "Two");  // not what the cache had

    file.write("broken: [");
    EXPECT_EQ(load_agent_rules(*agents.parser, &rules, agents.error), AgentStatus::rules_invalid);
    EXPECT_STRNE(agents.error, "");
    EXPECT_EQ(agents.resolve("x").browser.view(), "Two");
    EXPECT_EQ(agents.resolve("x x").os.view(), "X");
}

}  // namespace
