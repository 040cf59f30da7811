// event.h -- a stand-in for <sys/event.h>, so that the kqueue backend is compiled where there is no kqueue.
// Only what poller_kqueue.cc and mailbox_wake_kqueue.cc name; nothing here is ever linked. Spec: kqueue(2) of FreeBSD.
#pragma once
#pragma GCC system_header  // a function named like its struct, as the real one has it

#include <cstdint>
#include <ctime>

struct kevent {
  uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  intptr_t data;
  void* udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_CLEAR 0x0020
#define EV_EOF 0x8000
#define EV_ERROR 0x4000
#define EV_SET(event, a, b, c, d, e, f) \
  do {                                  \
    (event)->ident = (a);               \
    (event)->filter = (b);              \
    (event)->flags = (c);               \
    (event)->fflags = (d);              \
    (event)->data = (e);                \
    (event)->udata = (f);               \
  } while (false)

int kqueue();
int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events, int event_count,
           const timespec* timeout);
