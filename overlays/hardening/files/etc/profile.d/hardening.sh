# Files of an operator are not everybody's, a crash leaves no core file, and a shell that was forgotten ends after half an hour.
umask 027
ulimit -c 0
TMOUT=1800
readonly TMOUT
export TMOUT
