<?php
\Bitrix\Main\Loader::includeModule('im');
$chatId = 21441;
$userId = [7, 8];
$hideHistory = true;
$skipMessage = true;
$chat = new \CIMChat(0);
echo json_encode(['result' => $chat->AddUser($chatId, $userId, $hideHistory, $skipMessage)]);
