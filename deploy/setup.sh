#!/bin/sh
# Prepares a checkout: .venv with everything from uv.lock, and the system packages that demo and tests need.
#
#   deploy/setup.sh         what `make demo` needs: .venv/bin/router, a MariaDB server and its client
#   deploy/setup.sh test    and what `make test` needs
#
# Wants Python 3.11 or newer. Missing system packages come from apt, as root or through sudo; where neither works, it
# says what to install and stops. Done steps are remembered in .venv and not repeated.
set -eu
cd "$(dirname "$0")/.."

level=${1:-run}
uv_version=0.13.8
# uv: no interpreters from the network, no second environment, what was installed by hand may stay.
export UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1

say() { printf '%s\n' "setup: $*" >&2; }

die() {
    say "$@"
    exit 1
}

have() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

# --- system packages ------------------------------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        return 1
    fi
}

# Debian's and Ubuntu's images come without package lists.
apt_install() {
    have apt-get || return 1
    say "installing $*"
    install="env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends"
    # shellcheck disable=SC2086  # $install is a command and its arguments
    as_root $install "$@" >/dev/null 2>&1 && return 0
    as_root apt-get -qq update >/dev/null || return 1
    # shellcheck disable=SC2086
    as_root $install "$@" >/dev/null
}

# need COMMAND PACKAGE...: installs the packages unless the command is there.
need() {
    command=$1
    shift
    have "$command" && return 0
    apt_install "$@" && have "$command" && return 0
    die "'$command' is missing. Install it, on Debian and Ubuntu with:  sudo apt-get install $*"
}

# like: as need, but tests that want it are skipped where it cannot be had; in CI it must be there.
like() {
    if ! (need "$@") && [ -n "${CI:-}" ]; then
        exit 1
    fi
}

# knows PACKAGE: apt has heard of the package, which the tests then download and unpack themselves.
knows() {
    have apt-get || return 0
    apt-cache show "$1" >/dev/null 2>&1 || as_root apt-get -qq update >/dev/null || say "no package lists: $1 cannot be had"
}

# like_that TEST PACKAGE...: as like, for what is no command of its own: there when the shell command TEST succeeds.
like_that() {
    there=$1
    shift
    sh -c "$there" >/dev/null 2>&1 && return 0
    if ! (apt_install "$@" && sh -c "$there" >/dev/null); then
        say "not there: $there. On Debian and Ubuntu:  sudo apt-get install $*"
        [ -z "${CI:-}" ] || exit 1
    fi
}

# --- Python ---------------------------------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if have "$python" && is_new_enough "$python"; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}

make_venv() {
    if is_new_enough .venv/bin/python && { [ -x .venv/bin/uv ] || .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
        return 0
    fi
    python=$(find_python) || die "Python 3.11 or newer is missing. Install it and, if need be, name it: PYTHON=/path make setup"
    say "creating .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 && return 0
    # Debian keeps ensurepip in a package of its own, named after the version where there are several.
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    apt_install "$version" || apt_install python3-venv || die "install $version:  sudo apt-get install $version"
    rm -rf .venv
    "$python" -m venv .venv
}

# sync STAMP GROUPS...: installs the locked packages of the groups unless that is done for this very lock.
sync() {
    stamp=.venv/.setup-$1
    shift
    state=$(cat uv.lock pyproject.toml deploy/setup.sh | cksum)
    if [ -x .venv/bin/router ] && [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
        return 0
    fi
    say "installing Python packages"
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
    if ! .venv/bin/uv sync --quiet --frozen --inexact "$@"; then
        # pip knows of mirrors and certificates set up in pip.conf, uv does not.
        say "uv could not, trying pip"
        .venv/bin/uv export --quiet --frozen --no-emit-project "$@" >.venv/requirements.txt
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r .venv/requirements.txt
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
    fi
    printf '%s\n' "$state" >"$stamp"
}

# --- the two levels -------------------------------------------------------------------------------------------------

make_venv
need mariadbd mariadb-server-core
need mariadb mariadb-client
case $level in
run)
    sync run --group dev
    ;;
test)
    # mysqlclient, one of the drivers the tests use, has no binary package and is compiled.
    need gcc gcc libc6-dev
    need pkg-config pkg-config
    need mariadb_config libmariadb-dev
    header=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
    [ -e "$header" ] || apt_install python3-dev || die "$header is missing:  sudo apt-get install python3-dev"
    sync test --extra otel --group dev --group clients --group docs --group web
    like chromium chromium fonts-dejavu-core # for the tests of the console
    like mmdebstrap mmdebstrap debian-archive-keyring # unpacks MySQL 9.7
    like sysbench sysbench
    like haproxy haproxy
    like curl curl
    like systemd-analyze systemd # only looks at the unit of deploy/systemd
    like node nodejs
    like npm npm
    knows mariadb-test # installed, it would bring and start a server
    knows prometheus # likewise
    like go golang-go
    like javac default-jdk-headless
    like mvn maven
    like_that 'php -r "exit(extension_loaded(\"mysqli\") && extension_loaded(\"pdo_mysql\") ? 0 : 1);"' php-cli php-mysql
    like_that 'ruby -rmysql2 -rjson -e 0' ruby ruby-mysql2
    like_that 'perl -MDBD::mysql -e 0' perl libdbd-mysql-perl
    like_that 'perl -MDBD::MariaDB -e 0' perl libdbd-mariadb-perl
    ;;
*)
    die "unknown level '$level': run or test"
    ;;
esac
# Or every start would compile it anew, where Python is told not to write bytecode: 0.8 s instead of 0.6 s.
.venv/bin/python -m compileall -q router
