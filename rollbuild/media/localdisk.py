"""What isolinux starts to hand over to the local disk: a boot sector of our own.

isolinux itself knows no disk but by number, and `the next device` (interrupt 18h) is none for many a BIOS when the
medium is a stick: that is the first disk, and the others come with it.
"""

_LISTING = """
fa              cli
31c0            xor ax, ax
8ed8            mov ds, ax
8ec0            mov es, ax
8ed0            mov ss, ax
bc007c          mov sp, 7c00h
fc              cld
89e6            mov si, sp
bf0006          mov di, 600h
b90001          mov cx, 256
f3a5            rep movsw
ea1c060000      jmp 0:61ch          ; the next line, in the copy
fb              sti
88166806        mov [own], dl       ; the drive that the medium is in
b80300          mov ax, 3           ; text mode
cd10            int 10h
8a166706        mov dl, [disk]      ; again:
3a166806        cmp dl, [own]
7427            je skip
b80102          mov ax, 201h        ; read a sector
bb007c          mov bx, 7c00h
b90100          mov cx, 1           ; the first one
b600            mov dh, 0
cd13            int 13h
7218            jc skip
813efe7d55aa    cmp word [7dfeh], 0aa55h
7510            jne skip
833e007c00      cmp word [7c00h], 0 ; only a table of partitions, and nothing that starts
7409            je skip
8a166706        mov dl, [disk]
ea007c0000      jmp 0:7c00h
fe066706        inc byte [disk]     ; skip:
803e670688      cmp byte [disk], 88h
72c4            jb again
cd18            int 18h             ; no disk starts: the BIOS goes on with its next device
f4              hlt                 ; stop:
ebfd            jmp stop
80              db 80h              ; disk: the first
00              db 0                ; own:
"""

LOCAL_DISK = (
    bytes.fromhex("".join(line.split()[0] for line in _LISTING.split("\n") if line)).ljust(510, b"\0") + b"\x55\xaa"
)
"""Starts the first disk that has something to start and is not the medium, as a BIOS does (with its number in DL)."""
