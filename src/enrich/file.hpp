// An object that is built from a file, and built again when the file is replaced. The last valid one stays in use.
//
// Holds no server call: the C++ library's exceptions end here. Takes no lock.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "enrich/text.hpp"

namespace mirox::enrich {

struct Failure {
    Status status;
    std::string why;
};

inline std::string system_error() {
    return std::generic_category().message(errno);
}

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return number_; }
    // For libraries that open files by name.
    std::string path() const { return "/proc/self/fd/" + std::to_string(number_); }

  private:
    int number_;
};

template <typename Made>
class FromFile {
  public:
    FromFile(const char* path, off_t most_bytes) : path_(path), most_bytes_(most_bytes) {}

    // The object from the last valid file, or null.
    const Made* get() const { return made_.get(); }

    // Checks the file. For a new file, `make(descriptor, size)` returns a std::unique_ptr<Made> or throws. An invalid file is not
    // read again until it changes. When the status is not ok, `why` gets the reason, which ends in a zero byte.
    template <typename Make>
    Status refresh(Make make, std::span<char> why) noexcept {
        struct stat found {};
        Mark mark{};
        if (stat(path_.c_str(), &found) != 0 || mark_of(found) != judged_) {
            judged_ = {};
            try {
                read(make, found, mark);
                say(Status::ok, "");
            } catch (const Failure& failure) {
                say(failure.status, failure.why.c_str());
            } catch (const std::exception& failure) {  // out of memory, most likely
                say(Status::unreadable, failure.what());
            }
            if (status_ == Status::ok || status_ == Status::invalid) judged_ = mark;
        }
        if (!why.empty()) std::snprintf(why.data(), why.size(), "%s", why_);
        return status_;
    }

  private:
    struct Mark {
        dev_t device = 0;
        ino_t inode = 0;
        off_t size = -1;
        struct timespec modified {};
        struct timespec changed {};  // of the inode: changes even when the modification time is set back

        bool operator==(const Mark& other) const {
            return device == other.device && inode == other.inode && size == other.size && same(modified, other.modified) &&
                   same(changed, other.changed);
        }
        static bool same(const struct timespec& a, const struct timespec& b) {
            return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
        }
    };
    static Mark mark_of(const struct stat& file) { return {file.st_dev, file.st_ino, file.st_size, file.st_mtim, file.st_ctim}; }

    template <typename Make>
    void read(Make make, struct stat& found, Mark& mark) {
        if (path_.empty()) throw Failure{Status::none, "no file is named"};
        // A pipe or device under this name must not stop the worker: hence O_NONBLOCK.
        const Descriptor file(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (file.get() < 0 || fstat(file.get(), &found) != 0) throw Failure{Status::unreadable, system_error()};
        if (!S_ISREG(found.st_mode)) throw Failure{Status::unreadable, "it is not a regular file"};
        if (found.st_size > most_bytes_) throw Failure{Status::unreadable, "it is too large"};
        mark = mark_of(found);
        std::unique_ptr<Made> fresh = make(file, static_cast<std::size_t>(found.st_size));
        if (fstat(file.get(), &found) != 0 || mark_of(found) != mark)
            throw Failure{Status::unreadable, "it changed while it was read"};
        made_ = std::move(fresh);
    }

    void say(Status status, const char* why) {
        status_ = status;
        std::snprintf(why_, sizeof why_, "%s", why);
    }

    const std::string path_;
    const off_t most_bytes_;
    std::unique_ptr<Made> made_;
    Mark judged_;  // the file that the status belongs to, when only a new file can change the status
    Status status_ = Status::none;
    char why_[kReasonBytes] = "";
};

}  // namespace mirox::enrich
