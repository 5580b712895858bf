// Signing keys (see keys.hpp, also for the locks). Key bytes stand in this file's static memory and nowhere else.
#include "store/keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "core/crypto.hpp"
#include "pg/settings.hpp"

namespace mirox::store {
namespace {

constexpr std::size_t kMaxKeys = 16;
constexpr std::size_t kMaxKeyBytes = 256;
constexpr std::size_t kMaxFileBytes = 16384;

struct Stored {
    char id[core::kMaxJwtKeyIdChars] = {};
    std::uint8_t bytes[kMaxKeyBytes] = {};
};

constinit Stored stored[kMaxKeys] = {};
constinit core::JwtKey keys[kMaxKeys];
std::size_t count = 0;

// Which file was read, and how it stood.
struct Stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    int error;  // errno of stat(), 0 when there is a file
};
char read_path[MAXPGPATH];
Stamp read_stamp;
bool was_read = false;
bool settled =
    false;  // a change after reading would show in the stamp: the clock of files ticks in milliseconds
const char* fault = nullptr;  // why there is no key; fixed text
int fault_line = 0;

bool same(const Stamp& a, const Stamp& b) {
    const auto same_time = [](const struct timespec& x, const struct timespec& y) {
        return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
    };
    return a.device == b.device && a.inode == b.inode && a.size == b.size &&
           same_time(a.modified, b.modified) && same_time(a.changed, b.changed) && a.error == b.error;
}

Stamp stamp_of(const struct stat& file) {
    return {file.st_dev, file.st_ino, file.st_size, file.st_mtim, file.st_ctim, 0};
}

void wipe_keys() {
    core::wipe(stored, sizeof(stored));
    for (core::JwtKey& key : keys) key = {};
    count = 0;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
        text.remove_suffix(1);
    return text;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// 0 when the text is no key.
std::size_t decode_key(std::string_view text, std::uint8_t* out) {
    bool hex = text.size() % 2 == 0 && text.size() >= 2 * core::kMinJwtKeyBytes;
    for (const char c : text) hex = hex && hex_digit(c) >= 0;
    if (hex) {
        if (text.size() / 2 > kMaxKeyBytes) return 0;
        for (std::size_t i = 0; i < text.size() / 2; i++)
            out[i] = static_cast<std::uint8_t>(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
        return text.size() / 2;
    }
    char plain[core::base64url_size(kMaxKeyBytes)];
    while (!text.empty() && text.back() == '=') text.remove_suffix(1);
    if (text.size() > sizeof(plain)) return 0;
    for (std::size_t i = 0; i < text.size(); i++)
        plain[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    char bytes[kMaxKeyBytes];
    std::size_t size = 0;
    const bool good =
        core::base64url_decode({plain, text.size()}, bytes, size) && size >= core::kMinJwtKeyBytes;
    if (good) memcpy(out, bytes, size);
    core::wipe(plain, sizeof(plain));
    core::wipe(bytes, sizeof(bytes));
    return good ? size : 0;
}

void parse(std::string_view text) {
    int line_number = 0;
    while (!text.empty() && fault == nullptr) {
        line_number++;
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        line = trim(line.substr(0, line.find('#')));
        if (line.empty()) continue;
        fault_line = line_number;
        const std::size_t colon = line.find(':');
        const std::string_view id =
            colon == std::string_view::npos ? std::string_view{} : trim(line.substr(0, colon));
        if (!core::is_jwt_key_id(id)) {
            fault = "a line is not of the form \"kid: key\"";
            return;
        }
        for (std::size_t i = 0; i < count; i++)
            if (keys[i].id == id) {
                fault = "a key id stands twice";
                return;
            }
        if (count == kMaxKeys) {
            fault = "there are more than 16 keys";
            return;
        }
        Stored& at = stored[count];
        const std::size_t size = decode_key(trim(line.substr(colon + 1)), at.bytes);
        if (size == 0) {
            fault = "a key is not 32 to 256 bytes in hex or base64";
            return;
        }
        memcpy(at.id, id.data(), id.size());
        keys[count++] = {{at.id, id.size()}, {at.bytes, size}};
    }
    if (fault == nullptr && count == 0) {
        fault = "it holds no key";
        fault_line = 0;
    }
}

// No server call between open and close: nothing can jump over them.
void read_file(const char* path) {
    static constinit char text[kMaxFileBytes + 1] = {};
    fault_line = 0;
    fault = nullptr;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        fault = "it cannot be opened";
        return;
    }
    struct stat state;
    std::size_t size = 0;
    if (fstat(file, &state) != 0 || !S_ISREG(state.st_mode)) {
        fault = "it is no regular file";
    } else if (state.st_uid != geteuid() && state.st_uid != 0) {
        fault = "it belongs neither to the server's user nor to root";
    } else if ((state.st_mode & (state.st_uid == geteuid() ? 0077 : 0027)) != 0) {
        fault = "group or others may read or write it";
    } else {
        read_stamp = stamp_of(state);
        while (size < sizeof(text)) {
            const ssize_t got = read(file, text + size, sizeof(text) - size);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            size += static_cast<std::size_t>(got);
        }
        if (size == sizeof(text))
            fault = "it is longer than 16 kB";
        else
            parse({text, size});
    }
    close(file);
    core::wipe(text, sizeof(text));
    if (fault != nullptr) wipe_keys();
}

}  // namespace

std::span<const core::JwtKey> jwt_keys() {
    const char* path = pg::settings().jwt_key_file;
    if (path == nullptr || path[0] == '\0') {
        if (was_read) wipe_keys();
        was_read = false;
        fault = nullptr;
        return {};
    }
    struct stat state;
    Stamp now = {};
    if (stat(path, &state) == 0)
        now = stamp_of(state);
    else
        now.error = errno;
    const bool unchanged = was_read && same(now, read_stamp) && strcmp(path, read_path) == 0;
    if (unchanged && settled) return {keys, count};
    wipe_keys();
    strlcpy(read_path, path, sizeof(read_path));
    read_stamp = now;
    was_read = true;
    read_file(path);
    settled = read_stamp.error != 0 || read_stamp.changed.tv_sec + 2 < time(nullptr);
    if (fault != nullptr && !unchanged)
        MIROX_LOG(LOG, errmsg("the file of mirox_tokens.jwt_key_file cannot be used: %s", fault),
                  fault_line > 0 ? errdetail("Line %d.", fault_line) : 0,
                  errhint("No token in the form of a JWT is accepted until it is repaired."));
    return {keys, count};
}

const core::JwtKey& jwt_signing_key() {
    const std::span<const core::JwtKey> all = jwt_keys();
    if (all.empty()) {
        if (fault == nullptr)
            MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                        errmsg("there is no key to sign a JWT with"),
                        errhint("Name a file of signing keys in mirox_tokens.jwt_key_file, or issue the "
                                "token as 'opaque'."));
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errmsg("there is no key to sign a JWT with"),
                    errdetail("The file of mirox_tokens.jwt_key_file cannot be used: %s.", fault),
                    errhint("Repair the file, or issue the token as 'opaque'."));
    }
    return all.front();
}

[[gnu::hot]] bool is_signed_jwt(std::string_view text) {
    if (!core::looks_like_jwt(text)) return false;
    char work[core::kJwtWorkBytes];
    core::JwtClaims claims;
    return core::verify_jwt(text, jwt_keys(), work, claims);
}

}  // namespace mirox::store
