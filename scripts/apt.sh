# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An apt of our own for Debian's packages of other suites: on private lists, nothing is installed.
# Sourced; the sourcing script has a function `fail`.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# mirror LABEL: where this machine's own apt finds Debian's archive of that label
mirror()
{
	# shellcheck disable=SC2016 # the words are apt's, not the shell's
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		"Label: $1" 2>/dev/null | head -n 1
}

# private_apt DIR SUITE...: sets apt_options for a private apt of these suites below DIR, its lists up
# to date.
# Proxies and the like, set in the machine's own configuration, hold here too.
private_apt()
{
	local suite uri label dir=$1/$2
	shift
	[[ -r $keyring ]] || fail "$keyring is absent; install debian-archive-keyring"
	rm -rf "$dir"
	mkdir -p "$dir"/{lists/partial,archives/partial,preferences.d}
	: >"$dir/status"
	for suite; do
		label=Debian
		[[ $suite != *-security ]] || label=Debian-Security
		uri=$(mirror "$label")
		[[ -n $uri ]] ||
			fail "apt knows no mirror of '$label' here; configure one and run apt-get update"
		echo "deb [arch=amd64 signed-by=$keyring] $uri $suite main"
	done >"$dir/sources.list"
	apt_options=(
		-q -o Dir::State="$dir" -o Dir::State::lists="$dir/lists"
		-o Dir::State::status="$dir/status" -o Dir::Cache="$dir"
		-o Dir::Cache::archives="$dir/archives" -o Dir::Etc::sourcelist="$dir/sources.list"
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null
		-o Dir::Etc::preferencesparts="$dir/preferences.d" -o APT::Architecture=amd64
		-o APT::Sandbox::User=root -o APT::Install-Recommends=false -o APT::Default-Release=
		-o Debug::NoLocking=1 -o Acquire::Languages=none -o Acquire::Retries=3
	)
	apt-get "${apt_options[@]}" update >"$dir/log" 2>&1 || {
		tail -n 5 "$dir/log" >&2
		fail "cannot read the package lists of $*"
	}
	apt_dir=$dir
}

# unpack DIR: the downloaded packages, then forgets what the private apt needed
unpack()
{
	local package
	for package in "$apt_dir"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$package" |
			tar -x -C "$1" --keep-directory-symlink --no-same-owner
	done
	rm -rf "$apt_dir"
}

# download PACKAGE...: just these
download()
{
	(cd "$apt_dir/archives" && apt-get "${apt_options[@]}" download "$@") \
		>"$apt_dir/log" 2>&1 || {
		tail -n 5 "$apt_dir/log" >&2
		fail "cannot download $*"
	}
}

# download_whole PACKAGE...: and all they depend on but what apt_dir/status calls installed
download_whole()
{
	apt-get "${apt_options[@]}" -y --download-only install "$@" >"$apt_dir/log" 2>&1 || {
		tail -n 5 "$apt_dir/log" >&2
		return 1
	}
}
