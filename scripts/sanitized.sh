# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel that watches itself: KASAN, lockdep, kmemleak, built from Debian's source of that series
# with the configuration of scripts/sanitized.config. Sourced by scripts/kernels, in whose cache it
# looks like any other kernel: image/ to boot, builder/ to build modules in. That holds the source too,
# so that what was interrupted goes on where it stopped, and a changed configuration rebuilds little.

sanitized_series=6.12
sanitized_tools=(
	gcc make flex bison bc dwarves libelf-dev libssl-dev openssl zlib1g-dev kmod perl python3 xz-utils
	tar diffutils sparse dash coreutils findutils sed grep gzip mawk bash libc-bin
)

# fetch_source: the root that it is built in, with the compiler of that series' suite
fetch_source()
{
	local dir=$cache/sanitized/builder
	look_up "$sanitized_series"
	echo "kernels: fetching the source of $sanitized_series from ${suites[*]}" >&2
	private_apt "$cache/apt" "${suites[@]}"
	download_whole "linux-source-$sanitized_series" "${sanitized_tools[@]}" ||
		fail "cannot download linux-source-$sanitized_series"
	new_root "$dir.new"
	mkdir "$dir.new/usr/src/linux"
	tar -xJf "$dir.new/usr/src/linux-source-$sanitized_series.tar.xz" -C "$dir.new/usr/src/linux" \
		--strip-components=1 || fail "linux-source-$sanitized_series looks different"
	rm "$dir.new/usr/src/linux-source-$sanitized_series.tar.xz"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

make_sanitized()
{
	in_root "$cache/sanitized/builder" - nice -n 10 make -C /usr/src/linux "$@"
}

# settings FILE: those of it, set or not, as the kernel writes them
settings()
{
	grep -E '^(CONFIG_|# CONFIG_)' "$1" | sort
}

configure_sanitized()
{
	local source=$cache/sanitized/builder/usr/src/linux asked=$top/scripts/sanitized.config
	local missing
	[[ ! -s $source/.config ]] || ! cmp -s "$asked" "$source/asked.config" || return 0
	cp "$asked" "$source/asked.config.new"
	make_sanitized -s KCONFIG_ALLCONFIG=asked.config.new allnoconfig >"$cache/sanitized/log" 2>&1 || {
		tail -n 20 "$cache/sanitized/log" >&2
		fail "configuring the sanitized kernel failed"
	}
	missing=$(comm -23 <(settings "$asked") <(settings "$source/.config"))
	[[ -z $missing ]] || fail "this kernel cannot be configured so: $missing"
	mv "$source/asked.config.new" "$source/asked.config"
}

# progress: of a kernel's build on stdin, which it hands through: a line now and then
progress()
{
	local line files=0
	while IFS= read -r line; do
		printf '%s\n' "$line"
		[[ $line == '  CC'* || $line == '  AS'* ]] || continue
		if ((++files % 250 == 0)); then
			echo "kernels: sanitized: $files files of some 1500" >&2
		fi
	done
}

install_sanitized()
{
	local dir=$cache/sanitized/image release source=$cache/sanitized/builder/usr/src/linux
	release=$(make_sanitized -s kernelrelease)
	rm -rf "$dir.new" "$source/installed"
	mkdir -p "$dir.new/boot" "$source/installed"
	make_sanitized -s INSTALL_MOD_PATH=/usr/src/linux/installed \
		INSTALL_MOD_STRIP=1 DEPMOD=true modules_install \
		>"$cache/sanitized/log" 2>&1 || fail "installing its modules failed ($cache/sanitized/log)"
	mv "$source/installed/lib" "$dir.new/"
	rm -rf "$source/installed" "$dir.new/lib/modules/$release/build"
	cp "$source/arch/x86/boot/bzImage" "$dir.new/boot/vmlinuz-$release"
	depmod -b "$dir.new" "$release"
	# Where build_module looks for headers.
	ln -sfn linux "$source/../linux-headers-$release"
	echo "$release" >"$dir.new/release"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

build_sanitized()
{
	unless_there "$cache/sanitized/builder" fetch_source
	configure_sanitized
	echo "kernels: building the sanitized kernel, half an hour on two processors" >&2
	make_sanitized "-j$(nproc)" bzImage modules 2>&1 | progress >"$cache/sanitized/log" || {
		grep -aE -B 2 -A 10 'rror:|\*\*\*' "$cache/sanitized/log" | head -n 30 >&2
		fail "building the sanitized kernel failed ($cache/sanitized/log)"
	}
	install_sanitized
}
