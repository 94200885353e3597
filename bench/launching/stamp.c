/* Says when it began: seconds of CLOCK_MONOTONIC, as time.perf_counter() of Python counts them. */

#include <stdio.h>
#include <time.h>

int main(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
    return 0;
}
